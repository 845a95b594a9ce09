import numpy as np
import pytest
import torch

from mmaslp.losses import max_alpha, perturb_target
from mmaslp.losses.perturbations import resolve_perturbation, truncated_normal
from tests.properties import given, st

BETAS = st.floats(0.01, 2.0)


@pytest.mark.parametrize(
    ('name', 'beta', 'target'),
    [('HI', 2, [1, 0]), ('SI', 1.5, [0.75, 0.25]), ('M', 1, [0.5, 0.5])],
)
def test_named_perturbations(name, beta, target):
    assert resolve_perturbation(name).beta == beta
    labels = torch.tensor([0, 1])
    assert perturb_target(labels, beta).tolist() == target


@given(BETAS, st.floats(0, 1))
def test_expectation_is_label_smoothing(beta, share):
    alpha = share * max_alpha(beta)
    y = torch.tensor([0.0, 1.0], dtype=torch.float64)
    expected = (1 - alpha) * y + alpha * perturb_target(y, beta)
    eps = alpha * beta
    torch.testing.assert_close(expected, (1 - eps) * y + eps / 2)
    assert expected[1] > 0.5 > expected[0]


def test_truncated_normal_has_the_right_distribution():
    stats = pytest.importorskip('scipy.stats')
    grid = (np.arange(10_000) + 0.5) / 10_000
    noise = truncated_normal(torch.from_numpy(2 * grid - 1), 0.25)
    expected = stats.truncnorm(-0.25, 0.25).ppf(grid)
    np.testing.assert_allclose(noise.numpy(), expected, atol=1e-12)
