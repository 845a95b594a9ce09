"""The label perturbations and the limits of their strength and level."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..common.arguments import check_choice, check_number


@dataclass(frozen=True)
class Perturbation:
    """A way of perturbing a label."""

    beta: float  # strength in (0, 2]
    noise: float = 0.0  # bound of the noise that is added to every pixel

    def __post_init__(self) -> None:
        check_beta(self.beta)
        check_number('noise', self.noise, at_least=0)


def check_beta(beta: float) -> float:
    """Return ``beta`` as a float; refuse what is not a number in (0, 2], or tiny."""
    hint = (
        " (the paper's strength: 2 inverts the label, 1 makes it 0.5; the released "
        "code's --beta is half of it)"
    )
    return check_number('beta', beta, at_least=1e-6, at_most=2, hint=hint)


PERTURBATIONS = {
    'HI': Perturbation(2.0),  # hard inversion
    'SI': Perturbation(1.5),  # soft inversion
    'M': Perturbation(1.0),  # moderation
    'DM': Perturbation(1.0, noise=0.25),  # dynamic moderation
}


def resolve_perturbation(beta: str | float | Perturbation) -> Perturbation:
    """Look up a perturbation by name, or make one from a strength in (0, 2]."""
    if isinstance(beta, Perturbation):
        return beta
    if not isinstance(beta, str):
        return Perturbation(check_beta(beta))
    return PERTURBATIONS[check_choice('a beta in words', beta, PERTURBATIONS)]


def max_alpha(beta: float) -> float:
    """Largest level at which the expected label keeps its side."""
    return min(1.0, 1.0 / check_beta(beta) - 0.01)


def check_alpha(alpha: float, beta: float) -> float:
    """Return ``alpha`` as a float; refuse levels that flip the expected label."""
    value = check_number('alpha', alpha, at_least=0, at_most=1)
    if value * beta >= 1.0:
        raise ValueError(
            f'alpha={value:g} with beta={beta:g} would flip the expected label (alpha '
            f'* beta must stay below 1): use alpha <= {max_alpha(beta):.4g} or a '
            'smaller beta'
        )
    return value


def perturb_target(
    target: Tensor, beta: float | Tensor, noise: Tensor | None = None
) -> Tensor:
    r"""Perturb binary targets: :math:`(1 - \beta) y + \beta / 2` + noise.

    Args:
        target (Tensor): Labels in {0, 1} (soft ones in [0, 1] are allowed), shape
            ``(N, ...)``, any dtype. Values are not checked.
        beta (float | Tensor): Strength in (0, 2]. A tensor broadcasts with ``target``
            and may hold 0 where the target is to stay.
        noise (Tensor, optional): Offset, of the shape of ``target``. Defaults to None.

    Returns:
        Tensor: Perturbed targets, float, ``(N, ...)``.

    Raises:
        ValueError: If ``beta`` is a number outside (0, 2].

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, section 3.

    Example:
        >>> perturb_target(torch.tensor([0., 1.]), 2.0)
        tensor([1., 0.])
    """
    if not isinstance(beta, Tensor):
        beta = check_beta(beta)
    if not torch.is_floating_point(target):  # which refuses an array
        target = target.to(torch.get_default_dtype())
    perturbed = (1.0 - beta) * target + 0.5 * beta
    if noise is None:
        return perturbed
    return perturbed + noise


def truncated_normal(uniform: Tensor, bound: float) -> Tensor:
    """Map numbers in (-1, 1) to a standard normal truncated to [-bound, bound]."""
    # By the inverse distribution function.
    most = math.erf(bound / math.sqrt(2.0))
    noise = torch.erfinv(uniform * most) * math.sqrt(2.0)
    return noise.clamp_(-bound, bound)
