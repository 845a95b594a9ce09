import pytest
import torch

from mmaslp.core import MC, ME, Validation, max_alpha
from tests.properties import given, settings, st


def step(alpha, margin, rule=MC, accuracy=0.95, beta=2.0, landmark=None, **options):
    made = rule(**options)
    moved = made.step(
        torch.tensor([alpha], dtype=torch.float64),
        torch.tensor([margin], dtype=torch.float64),
        beta=beta,
        validation=Validation(accuracy=accuracy, landmark=landmark),
    )
    return moved.item()


def test_explicit_by_hand():
    # 0.1 + 0.01 * (2 / 2 * 3 + 10 * min(0, (1 - 0.1) - 0.95))
    updated = step(0.1, 3.0, eta=0.01, lam=10.0, solver='explicit')
    assert updated == pytest.approx(0.1 + 0.01 * (3.0 + 10 * -0.05))


def test_implicit_by_hand():
    # a' = 0.1 + 0.002 * 3; penalised since 1 - a' < 0.95: (a' + 4 * 0.05) / (1 + 4)
    assert step(0.1, 3.0) == pytest.approx((0.106 + 0.2) / 5)
    assert step(0.01, 3.0) == pytest.approx(0.016)  # not yet penalised


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
