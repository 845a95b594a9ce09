import pytest
import torch

from mmaslp.core import MC, Validation


@pytest.mark.parametrize('beta', [0.5, 2.0])
@pytest.mark.parametrize(('factor', 'grows'), [(0.98, False), (1.02, True)])
def test_limit_of_the_explicit_solver(beta, factor, grows):
    """A deviation from the level of rest grows above it and dies away below."""
    rest, eta = 0.1 / beta, 0.01
    rule = MC(eta=eta, lam=factor * 4 / (eta * beta), solver='explicit')
    after = rule.step(
        torch.tensor([1.1 * rest], dtype=torch.float64),
        torch.zeros(1, dtype=torch.float64),
        beta=beta,
        validation=Validation(accuracy=0.95),
    )
    assert (abs(after.item() - rest) > 0.1 * rest) == grows
    assert bool(rule.instability_warning(beta)) == grows
    assert not MC(eta=eta, lam=rule.lam).instability_warning(beta)
