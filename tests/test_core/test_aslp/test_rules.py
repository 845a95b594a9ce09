import json
import math

import numpy as np
import pytest
import torch

from mmaslp.core import image_margin, max_alpha, sc_bce, update_alpha
from mmaslp.core.aslp.rules import explicit_limit
from tests.properties import given, settings, st

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


def test_explicit_by_hand():
    # 0.1 + 0.01 * (2 / 2 * 3 + 10 * min(0, (1 - 0.1) - 0.95))
    updated = step(0.1, 3.0, eta=0.01, lam=10.0, solver='explicit')
    assert updated == pytest.approx(0.1 + 0.01 * (3.0 + 10 * -0.05))


def test_implicit_by_hand():
    # a' = 0.1 + 0.002 * 3; penalised since 1 - a' < 0.95: (a' + 4 * 0.05) / (1 + 4)
    assert step(0.1, 3.0) == pytest.approx((0.106 + 0.2) / 5)
    assert step(0.01, 3.0) == pytest.approx(0.016)  # not yet penalised


def test_released_divides_by_its_beta_and_has_its_own_clamp():
    kwargs = dict(beta=1.0, eta=0.01, lam=0.0, solver='released')
    assert step(0.1, 3.0, **kwargs) == pytest.approx(0.1 + 0.01 * 3.0 / 0.5)
    assert step(0.995, 0.0, **kwargs) == pytest.approx(0.995)
    assert step(0.995, 1.0, **kwargs) == pytest.approx(0.99)


@given(
    alpha=st.floats(0, 0.49),
    margin=st.floats(-20, 20),
    accuracy=st.floats(0.5, 1),
    eta=st.floats(1e-5, 10),
    lam=st.floats(0, 1e5),
    beta=st.floats(0.05, 2),
    rule=st.sampled_from(['MC', 'ME']),
    solver=st.sampled_from(['implicit', 'explicit', 'released']),
)
@settings(deadline=None)
def test_levels_stay_in_range(alpha, margin, accuracy, eta, lam, beta, rule, solver):
    updated = step(
        min(alpha, max_alpha(beta)),
        margin,
        accuracy=accuracy,
        eta=eta,
        lam=lam,
        beta=beta,
        rule=rule,
        solver=solver,
        landmark=min(accuracy + 0.02, 1.0),
    )
    limit = max(1 / beta, 0) if solver == 'released' else max_alpha(beta)
    assert 0.0 <= updated <= limit


@given(eta=st.floats(1e-3, 1.0), lam=st.floats(100.0, 1e5), beta=st.floats(0.5, 2.0))
@settings(deadline=None, max_examples=30)
def test_implicit_converges_where_explicit_may_not(eta, lam, beta):
    accuracy, margin = 0.9, 2.0
    kwargs = dict(accuracy=accuracy, eta=eta, lam=lam, beta=beta)
    alpha, previous = 0.0, math.inf
    for _ in range(2_000):
        alpha, previous = step(alpha, margin, **kwargs), alpha
        if abs(alpha - previous) < 1e-13:
            break
    # Gradient and penalty cancel: beta / 2 * m = lam * (beta / 2 * a - (1 - A)).
    fixed_point = 2 / beta * (1 - accuracy) + margin / lam
    assert alpha == pytest.approx(min(fixed_point, max_alpha(beta)), abs=1e-6)


def test_explicit_saw_tooths_at_the_published_defaults():
    levels = [0.0]
    for _ in range(60):
        levels.append(step(levels[-1], 5.0, solver='explicit'))
    late = levels[-12:]
    assert max(late) - min(late) > 0.02


def test_me_raises_while_accuracy_holds_and_lowers_when_it_falls():
    kwargs = dict(rule='ME', landmark=0.95)
    assert step(0.1, 1.0, accuracy=0.95, **kwargs) == pytest.approx(0.102)
    assert step(0.1, 1.0, accuracy=0.96, **kwargs) == pytest.approx(0.102)
    assert step(0.1, 1.0, accuracy=0.94, **kwargs) == pytest.approx(0.102 - 0.04)


def test_dtype_is_kept_and_input_left_alone():
    alpha = torch.full((3,), 0.1)
    updated = update_alpha(alpha, torch.ones(3), **DEFAULTS)
    assert updated.dtype == torch.float32 and (alpha == 0.1).all()


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(beta=2.5), 'beta'),
        (dict(beta=0.0), 'beta'),
        (dict(eta=0.0), 'eta'),
        (dict(eta=math.nan), 'eta'),
        (dict(lam=-1.0), 'lam'),
        (dict(accuracy=95.0), 'accuracy must be a fraction'),
        (dict(accuracy=math.nan), 'accuracy'),
        (dict(rule='MCC'), 'rule must be one of MC, ME, FB'),
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


def test_bad_shapes():
    with pytest.raises(ValueError, match=r'both have the shape \(N,\)'):
        update_alpha(torch.zeros(2), torch.zeros(3), **DEFAULTS)


def feedback(alpha, margin, above, **kwargs):
    defaults = dict(beta=2.0, eta=0.5, lam=1.0, rule='FB', confidence=0.9 + above)
    return update_alpha(
        torch.tensor(alpha, dtype=torch.float64),
        torch.tensor(margin, dtype=torch.float64),
        accuracy=0.9,
        **{**defaults, **kwargs},
    )


def test_feedback_by_hand():
    # k = 0.5, g = 0.04: the mean rises by k * g * 2 / beta = 0.02, by margin 1 : 3.
    stepped = feedback([0.1, 0.1, 0.1], [1.0, 3.0, -5.0], 0.04, solver='explicit')
    assert stepped.tolist() == pytest.approx([0.115, 0.145, 0.1])
    # g = -0.04: the mean falls by 0.02, in proportion to the levels, 1 : 3.
    stepped = feedback([0.1, 0.3, 0.0], [1.0, 1.0, 9.0], -0.04, solver='explicit')
    assert stepped.tolist() == pytest.approx([0.085, 0.255, 0.0])
    # Implicit: k / (1 + k); four visits between validations share the step.
    stepped = feedback([0.1, 0.1], [2.0, 2.0], 0.06, visits=4.0)
    assert stepped.tolist() == pytest.approx([0.105, 0.105])


def test_feedback_of_a_gap_that_is_given():
    levels, margin = [0.1, 0.2], [1.0, 3.0]
    for gap in (0.04, -0.04, 0.0):
        expected = pytest.approx(feedback(levels, margin, gap).tolist())
        for other in (None, 0.5):  # the gap comes before the mean confidence
            moved = feedback(levels, margin, gap, gap=gap, confidence=other)
            assert moved.tolist() == expected


def test_feedback_rests_where_the_gap_is_zero():
    assert feedback([0.1, 0.2], [1.0, 5.0], 0.0).tolist() == [0.1, 0.2]
    assert feedback([0.0, 0.0], [1.0, 5.0], -0.1).tolist() == [0.0, 0.0]
    assert feedback([0.1, 0.1], [-1.0, -5.0], 0.1).tolist() == [0.1, 0.1]


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
        alpha = update_alpha(
            alpha,
            margin,
            accuracy=0.9,
            confidence=confidence,
            beta=beta,
            eta=1.0,
            lam=gain,
            rule='FB',
        )
    assert confidence == pytest.approx(0.9, abs=1e-3)
    assert alpha.min() >= 0 and alpha.max() <= max_alpha(beta)


@pytest.mark.parametrize('lag', [0.0, 0.5, 0.9])
def test_fluctuation_that_the_docs_state(lag):
    """Levels under a validation that measures the gap with noise, far from 0."""
    step, spread = 0.5, 1e-3
    noise = torch.randn(40000, generator=torch.Generator().manual_seed(0)) * spread
    alpha, confidence, levels = torch.tensor([0.2], dtype=torch.float64), 0.9, []
    margin = torch.ones_like(alpha)
    for error in noise.double().tolist():
        alpha, before = (
            update_alpha(
                alpha,
                margin,
                accuracy=0.5,
                gap=confidence - 0.9 + error,
                beta=2.0,
                eta=1.0,
                lam=1.0,
                rule='FB',
            ),
            alpha.item(),
        )
        confidence = lag * confidence + (1 - lag) * (1.1 - before)
        levels.append(before)
    found = torch.tensor(levels).std().item() / spread
    # Stationary covariance of the linear loop, P = F P F' + k^2 e e', flattened.
    loop = np.array([[lag, lag - 1], [step, 1.0]])
    drive = np.array([0, 0, 0, step**2])
    expected = np.sqrt(np.linalg.solve(np.eye(4) - np.kron(loop, loop), drive)[3])
    assert found == pytest.approx(expected, rel=0.05)
    stated = {0.0: 0.77, 0.5: 0.92, 0.9: 1.69}[lag]
    assert expected == pytest.approx(stated, abs=0.006)
    if not lag:
        formula = math.sqrt(step * (1 + step) / ((1 - step) * (2 + step)))
        assert expected == pytest.approx(formula)


@pytest.mark.parametrize('beta', [0.5, 2.0])
@pytest.mark.parametrize(('factor', 'grows'), [(0.98, False), (1.02, True)])
def test_limit_of_the_explicit_solver(beta, factor, grows):
    """A deviation from the level of rest grows above it and dies away below."""
    rest, eta = 0.1 / beta, 0.01
    known = dict(accuracy=0.95, beta=beta, eta=eta, solver='explicit')
    lam = factor * explicit_limit('MC', eta, beta)
    after = step(1.1 * rest, 0.0, rule='MC', lam=lam, **known)
    assert (abs(after - rest) > 0.1 * rest) == grows

    lam = factor * explicit_limit('FB', eta, beta)
    before, level, deviations = 1.1 * rest, 1.1 * rest, []
    for _ in range(400):
        gap = beta / 2 * (rest - before)  # of a network one validation late
        before = level
        level = step(level, 1.0, gap=gap, rule='FB', lam=lam, **known)
        deviations.append(abs(level - rest))
    assert (max(deviations[-20:]) > max(deviations[:20])) == grows
    assert explicit_limit('ME', eta, beta) == math.inf


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(rule='FB'), 'needs confidence'),
        (dict(rule='FB', confidence=0.9, solver='released'), 'no rule'),
        (dict(rule='FB', confidence=1.9), 'confidence must be a fraction'),
        (dict(rule='FB', confidence=0.9, visits=0.0), 'visits'),
        (dict(rule='FB', gap=1.5), r'gap must be in \[-1, 1\]'),
        (dict(rule='FB', gap=float('nan')), r'gap must be in \[-1, 1\]'),
    ],
)
def test_bad_arguments_of_feedback(kwargs, match):
    with pytest.raises(ValueError, match=match):
        step(0.1, 1.0, **kwargs)
