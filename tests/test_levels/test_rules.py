import json
from dataclasses import dataclass

import pytest
import torch

from mmaslp.levels import (
    FB,
    MC,
    ME,
    RULES,
    Fixed,
    Rule,
    Validation,
    make_rule,
)
from mmaslp.losses import image_margin, max_alpha, sc_bce
from tests.properties import given, settings, st


def step(rule, alpha, margin, beta=2.0, **validation):
    """Levels after a step, as a list; one number for one image."""
    alpha, margin = (torch.tensor(v, dtype=torch.float64) for v in (alpha, margin))
    now = Validation(**{'accuracy': 0.95, **validation})
    moved = rule.step(alpha.view(-1), margin.view(-1), beta=beta, validation=now)
    return moved.tolist() if alpha.dim() else moved.item()


def test_rules_by_name_and_object():
    assert make_rule('FB', gain=0.5) == FB(gain=0.5)
    rule = ME(landmark='warmup')
    assert make_rule(rule) is rule
    assert make_rule('fixed') == Fixed()
    with pytest.raises(ValueError, match='rule must be one of fixed, MC'):
        make_rule(rule, lam=3.0)
    with pytest.raises(ValueError, match="rule 'FB' has gain"):
        make_rule('FB', gap='median')


def test_a_rule_of_ones_own_is_one_class_and_one_line(monkeypatch):
    monkeypatch.setitem(RULES, 'halve', Rule)  # before it is there, so that it goes

    @dataclass(frozen=True)
    class Halve(Rule):
        name = 'halve'
        share: float = 0.5

        def _step(self, alpha, margin, beta, now):
            return alpha * self.share

    rule = make_rule('halve', share=0.25)
    alpha = torch.tensor([0.4])
    moved = rule.step(alpha, torch.ones(1), beta=2.0, validation=Validation(0.9))
    assert moved.tolist() == pytest.approx([0.1])
    assert moved.dtype == torch.float32


def test_fixed_levels_stay():
    assert step(Fixed(), [0.1, 0.2], [1.0, 1.0]) == [0.1, 0.2]
    assert not Fixed.learns


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
            made = make_rule(
                rule.upper(), eta=case['eta'], lam=case['lam'], solver=solver
            )
            measured = Validation(case['acc'], landmark=case['acc_lm'])
            updated = made.step(alpha, margin, beta=case['beta'], validation=measured)
            expected = torch.tensor(case[key], dtype=torch.float64)
            torch.testing.assert_close(updated, expected, atol=1e-6, rtol=0)


def test_explicit_and_implicit_by_hand():
    # 0.1 + 0.01 * (2 / 2 * 3 + 10 * min(0, (1 - 0.1) - 0.95))
    explicit = MC(eta=0.01, lam=10.0, solver='explicit')
    assert step(explicit, 0.1, 3.0) == pytest.approx(0.1 + 0.01 * (3.0 + 10 * -0.05))
    # a' = 0.1 + 0.002 * 3; penalised since 1 - a' < 0.95: (a' + 4 * 0.05) / (1 + 4)
    assert step(MC(), 0.1, 3.0) == pytest.approx((0.106 + 0.2) / 5)
    assert step(MC(), 0.01, 3.0) == pytest.approx(0.016)  # not yet penalised


@pytest.mark.parametrize('beta', [0.5, 2.0])
@pytest.mark.parametrize(('factor', 'grows'), [(0.98, False), (1.02, True)])
def test_limit_of_the_explicit_solver(beta, factor, grows):
    """A deviation from the level of rest grows above it and dies away below."""
    rest, eta = 0.1 / beta, 0.01
    rule = MC(eta=eta, lam=factor * 4 / (eta * beta), solver='explicit')
    after = step(rule, 1.1 * rest, 0.0, beta)
    assert (abs(after - rest) > 0.1 * rest) == grows


@given(
    alpha=st.floats(0, 0.49),
    margin=st.floats(-20, 20),
    accuracy=st.floats(0.5, 1),
    eta=st.floats(1e-5, 10),
    lam=st.floats(0, 1e5),
    beta=st.floats(0.05, 2),
    rule=st.sampled_from([MC, ME]),
    solver=st.sampled_from(['implicit', 'explicit', 'released']),
)
@settings(deadline=None)
def test_levels_stay_in_range(alpha, margin, accuracy, eta, lam, beta, rule, solver):
    made, start = rule(eta=eta, lam=lam, solver=solver), min(alpha, max_alpha(beta))
    landmark = min(accuracy + 0.02, 1.0)
    moved = step(made, start, margin, beta, accuracy=accuracy, landmark=landmark)
    assert 0.0 <= moved <= (1 / beta if solver == 'released' else max_alpha(beta))


def test_levels_of_me_rise_while_the_accuracy_holds_and_fall_with_it():
    for accuracy, moved in ((0.95, 0.102), (0.96, 0.102), (0.94, 0.102 - 0.04)):
        found = step(ME(), 0.1, 1.0, accuracy=accuracy, landmark=0.95)
        assert found == pytest.approx(moved)


@pytest.mark.parametrize(
    ('landmark', 'expected'),
    [
        ('best', [0.8, 0.9, 0.9, 0.95]),
        ('warmup', [0.8, 0.9, 0.9, 0.9]),
    ],
)
def test_landmarks(landmark, expected):
    rule, kept = ME(landmark=landmark), None
    for accuracy, warming_up, wanted in zip(
        (0.8, 0.9, 0.85, 0.95), (True, True, False, False), expected
    ):
        kept = rule.next_landmark(kept, accuracy, warming_up)
        assert kept == wanted


def test_feedback_by_hand():
    # k = 0.5, g = 0.04: the mean rises by k * g * 2 / beta = 0.02, by margin 1 : 3.
    rising = step(FB(), [0.1] * 3, [1.0, 3.0, -5.0], accuracy=0.9, confidence=0.94)
    assert rising == pytest.approx([0.115, 0.145, 0.1])
    # g = -0.04: the mean falls by 0.02, in proportion to the levels, 1 : 3.
    falling = step(
        FB(), [0.1, 0.3, 0.0], [1.0, 1.0, 9.0], accuracy=0.9, confidence=0.86
    )
    assert falling == pytest.approx([0.085, 0.255, 0.0])
    # k = gain / (1 + gain); four visits between validations share the step.
    shared = step(
        FB(0.5), [0.1] * 2, [2.0] * 2, confidence=1.0, accuracy=0.94, visits=4
    )
    assert shared == pytest.approx([0.105, 0.105])


@given(
    gain=st.floats(0.05, 10.0),
    lag=st.floats(0.0, 0.95),
    start=st.floats(0.0, 0.3),
    beta=st.floats(0.2, 2.0),
)
@settings(deadline=None, max_examples=60)
def test_implicit_feedback_converges_whatever_gain_and_first_order_lag(
    gain, lag, start, beta
):
    """A network of accuracy 0.9 whose confidence follows its target with a lag."""
    margin = torch.ones(4, dtype=torch.float64)
    alpha = torch.full((4,), start * max_alpha(beta), dtype=torch.float64)
    natural = 0.97  # confidence without perturbation
    confidence = natural
    for _ in range(6000):
        target = natural - beta / 2 * alpha.mean().item()
        confidence = lag * confidence + (1 - lag) * target
        if max(abs(confidence - 0.9), abs(target - 0.9)) < 1e-4:
            break
        validation = Validation(accuracy=0.9, confidence=confidence)
        alpha = FB(gain=gain).step(alpha, margin, beta=beta, validation=validation)
    assert confidence == pytest.approx(0.9, abs=1e-3)
    assert alpha.min() >= 0
    assert alpha.max() <= max_alpha(beta)


@pytest.mark.parametrize('alpha', [torch.zeros(2), torch.zeros(3, 1)])
def test_levels_of_another_shape_and_a_tiny_strength(alpha):
    now = Validation(accuracy=0.9)
    with pytest.raises(ValueError, match='must both have the shape'):
        MC().step(alpha, torch.ones(3), beta=2.0, validation=now)
    with pytest.raises(ValueError, match='beta must be'):
        MC().step(torch.zeros(3), torch.ones(3), beta=1e-310, validation=now)
