import pytest
import torch

from mmaslp.core import FB, Validation, max_alpha
from tests.properties import given, settings, st


def feedback(alpha, margin, above, visits=1.0, gain=1.0):
    validation = Validation(0.9, 0.9 + above, visits=visits)
    return FB(gain).step(
        torch.tensor(alpha, dtype=torch.float64),
        torch.tensor(margin, dtype=torch.float64),
        beta=2.0,
        validation=validation,
    )


def test_feedback_by_hand():
    # k = 0.5, g = 0.04: the mean rises by k * g * 2 / beta = 0.02, by margin 1 : 3.
    stepped = feedback([0.1, 0.1, 0.1], [1.0, 3.0, -5.0], 0.04)
    assert stepped.tolist() == pytest.approx([0.115, 0.145, 0.1])
    # g = -0.04: the mean falls by 0.02, in proportion to the levels, 1 : 3.
    stepped = feedback([0.1, 0.3, 0.0], [1.0, 1.0, 9.0], -0.04)
    assert stepped.tolist() == pytest.approx([0.085, 0.255, 0.0])
    # k = gain / (1 + gain); four visits between validations share the step.
    stepped = feedback([0.1, 0.1], [2.0, 2.0], 0.06, visits=4.0, gain=0.5)
    assert stepped.tolist() == pytest.approx([0.105, 0.105])


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
    assert alpha.min() >= 0 and alpha.max() <= max_alpha(beta)
