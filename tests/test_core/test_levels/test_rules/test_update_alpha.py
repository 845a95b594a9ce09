import json

import torch

from mmaslp.core import image_margin, sc_bce, update_alpha


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
