"""One step of the paper's rules as a function."""

from torch import Tensor

from .rules import MC, ME, Measured, PenaltyRule

__all__ = ['update_alpha']


def update_alpha(
    alpha: Tensor,
    margin: Tensor,
    *,
    accuracy: float,
    beta: float,
    eta: float,
    lam: float,
    rule: str = 'MC',
    landmark: float | None = None,
    solver: str = 'implicit',
) -> Tensor:
    """One step of the per-image perturbation levels by a rule of the paper.

    Short for ``MC(eta, lam, solver).step(...)`` and ``ME(eta, lam, solver).step(...)``,
    which hold the formulas. For our feedback rule use :meth:`FB.step
    <mmaslp.core.aslp.rules.FB>`.

    Args:
        alpha (Tensor): Levels, ``(N,)``, floating, in [0, 1].
        margin (Tensor): Margins of the same images
            (:func:`~mmaslp.core.image_margin`), ``(N,)``.
        accuracy (float): Pixel accuracy on the validation set, in [0, 1].
        beta (float): The paper's strength in (0, 2], for every solver.
        eta (float): Step size, > 0.
        lam (float): Weight of the penalty, >= 0.
        rule (str): ``'MC'`` or ``'ME'``. Defaults to 'MC'.
        landmark (float, optional): Accuracy that ``'ME'`` keeps, in [0, 1]. Defaults
            to None.
        solver (str): ``'implicit'``, ``'explicit'`` or ``'released'``, see
            :class:`~mmaslp.core.aslp.rules.PenaltyRule`. Defaults to 'implicit'.

    Returns:
        Tensor: New levels, ``(N,)``, in the dtype of ``alpha`` (computed in float64).

    Raises:
        ValueError: If an argument is out of its range, a shape differs, a value is not
            finite, or the name of the rule or solver is unknown.

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, Eq. 5 and 6.
    """
    kinds: dict[str, type[PenaltyRule]] = {'MC': MC, 'ME': ME}
    if rule not in kinds:
        raise ValueError(f'rule must be one of {", ".join(kinds)}, got {rule!r}')
    measured = Measured(accuracy=accuracy, landmark=landmark)
    made = kinds[rule](eta=eta, lam=lam, solver=solver)
    return made.step(alpha, margin, beta=beta, measured=measured)
