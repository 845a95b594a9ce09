import json
import math

import pytest
import torch

from mmaslp.core import image_margin, sc_bce, update_alpha

DEFAULTS = dict(accuracy=0.95, beta=2.0, eta=0.002, lam=2000.0)


def step(alpha, margin, **kwargs):
    alpha = torch.tensor([alpha], dtype=torch.float64)
    margin = torch.tensor([margin], dtype=torch.float64)
    return update_alpha(alpha, margin, **{**DEFAULTS, **kwargs}).item()


def test_golden_figures(shared):
    cases = json.loads((shared / 'golden' / 'alpha.json').read_text())['cases']
    assert cases
    for case in cases:
        logits, labels, alpha, bce = (
            torch.tensor(case[k], dtype=torch.float64)
            for k in ('logits', 'labels', 'alpha', 'bce')
        )
        margin = image_margin(logits, labels)
        torch.testing.assert_close(
            sc_bce(logits, labels).flatten(1).mean(1), bce, atol=1e-6, rtol=0
        )
        for key in ('released_mc', 'explicit_mc', 'implicit_mc', 'explicit_me'):
            solver, rule = key.split('_')
            updated = update_alpha(
                alpha,
                margin,
                accuracy=case['acc'],
                beta=case['beta'],
                eta=case['eta'],
                lam=case['lam'],
                rule=rule.upper(),
                landmark=case['acc_lm'],
                solver=solver,
            )
            expected = torch.tensor(case[key], dtype=torch.float64)
            torch.testing.assert_close(updated, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(beta=2.5), 'beta'),
        (dict(beta=0.0), 'beta'),
        (dict(eta=0.0), 'eta'),
        (dict(eta=math.nan), 'eta'),
        (dict(lam=-1.0), 'lam'),
        (dict(accuracy=95.0), r'accuracy must be .*a fraction'),
        (dict(accuracy=math.nan), 'accuracy'),
        (dict(rule='FB'), 'rule must be one of MC, ME, got'),
        (dict(solver='newton'), 'solver must be one of'),
        (dict(rule='ME'), 'needs landmark'),
        (dict(rule='ME', landmark=1.5), 'landmark'),
        (dict(margin=math.nan), 'not finite'),
    ],
)
def test_bad_arguments(kwargs, match):
    kwargs = dict(kwargs)
    with pytest.raises(ValueError, match=match):
        step(0.1, kwargs.pop('margin', 1.0), **kwargs)
