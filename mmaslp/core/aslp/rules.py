"""The learning rules of the perturbation levels and their solvers.

The paper's rules, MC and ME, add a penalty ``lam * min(0, intercept - slope * alpha)``
to the gradient of the expected loss; each is a function that returns ``(intercept,
slope)``. To add such a rule, write its function and enter it into :data:`PENALTIES`.
FB, the feedback rule, moves the levels by the measured gap instead.
"""

import math
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from .perturbation import check_beta, max_alpha

__all__ = ['RULES', 'SOLVERS', 'check_step', 'explicit_limit', 'update_alpha']


def _model_calibration(accuracy, beta, landmark):
    # Expected confidence of the target, 1 - beta * alpha / 2, against the accuracy.
    return 1.0 - accuracy, 0.5 * beta


def _maximum_entropy(accuracy, beta, landmark):
    # Accuracy against its landmark; independent of alpha.
    if landmark is None:
        raise ValueError("rule='ME' needs landmark, the accuracy to be kept, in [0, 1]")
    return accuracy - landmark, 0.0


PENALTIES: dict[str, Callable] = {'MC': _model_calibration, 'ME': _maximum_entropy}
RULES = (*PENALTIES, 'FB')


def _implicit(alpha, margin, beta, eta, lam, intercept, slope):
    # Backward Euler in the penalty: stable for every eta, lam > 0.
    free = alpha + eta * 0.5 * beta * margin
    bound = (free + eta * lam * intercept) / (1.0 + eta * lam * slope)
    return torch.where(intercept - slope * free >= 0, free, bound)


def _explicit(alpha, margin, beta, eta, lam, intercept, slope):
    penalty = (intercept - slope * alpha).clamp_max(0.0)
    return alpha + eta * (0.5 * beta * margin + lam * penalty)


def _released(alpha, margin, beta, eta, lam, intercept, slope):
    # The official script divides the gradient by its beta (half of the paper's) where
    # the formula multiplies.
    penalty = (intercept - slope * alpha).clamp_max(0.0)
    return alpha + eta * (margin / (0.5 * beta) + lam * penalty)


SOLVERS: dict[str, Callable] = {
    'implicit': _implicit,
    'explicit': _explicit,
    'released': _released,
}


def _feedback(alpha, margin, beta, gain, gap, visits, solver):
    # Rising levels are shared out by margin, falling ones by level; the shares of a
    # batch have the mean 1, so that the mean level moves by a known amount.
    share = margin.clamp_min(0.0) if gap > 0 else alpha
    mean = share.mean()
    share = share / mean if mean > 0 else torch.zeros_like(share)
    if solver == 'implicit':
        # The gap that is left after the step: g' = g - beta / 2 * mean step.
        gain = gain / (1.0 + gain)
    return alpha + gain / visits * (2.0 / beta) * gap * share


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
    confidence: float | None = None,
    gap: float | None = None,
    visits: float = 1.0,
) -> Tensor:
    r"""One step of the per-image perturbation levels.

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i +
              \eta (\tfrac{\beta}{2} m_i + \lambda\, reg_i), 0, \alpha_{max})

    with ``reg_i = min(0, 1 - beta * alpha_i / 2 - accuracy)`` for ``'MC'`` (model
    calibration) and ``reg = min(0, accuracy - landmark)`` for ``'ME'`` (maximum
    entropy), and ``alpha_max = min(1, 1/beta - 0.01)``.

    ``'FB'`` (feedback, ours) steers the network's own confidence, not that of its
    target, to the accuracy. With the gap g of the validation, confidence - accuracy or
    another measure of it, and the gain k = eta * lam,

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i + \frac{k}{V}
              \frac{2}{\beta}\, g\, w_i, 0, \alpha_{max})

    where V visits fall between two validations and the weights :math:`w_i`, of mean 1
    over the images given, follow the positive part of the margin while g > 0 and the
    level itself while g < 0. The mean target confidence then moves by -k g from one
    validation to the next, and by less where levels meet their ends or no image given
    has a margin (level) above 0. If the network follows it with a first-order lag,
    the loop is stable for 0 < k < 1; the implicit solver uses k / (1 + k), which is in
    that range for every k > 0.

    Args:
        alpha (Tensor): Levels, shape ``(N,)``, floating, in [0, 1].
        margin (Tensor): Margins of the same images (:func:`image_margin`), ``(N,)``.
        accuracy (float): Pixel accuracy on the validation set, in [0, 1].
        beta (float): The paper's strength in (0, 2], for every solver.
        eta (float): Step size, > 0.
        lam (float): Weight of the penalty, >= 0.
        rule (str): ``'MC'``, ``'ME'`` or ``'FB'``. Defaults to ``'MC'``.
        landmark (float, optional): Accuracy that ``'ME'`` keeps, in [0, 1]. Defaults
            to None.
        solver (str): ``'implicit'`` treats the penalty implicitly and is stable for
            every ``eta`` and ``lam``; ``'explicit'`` is the formula above, unstable
            where ``eta * lam * beta / 2 >= 2``; ``'released'`` reproduces the
            arithmetic of the official code, its clamp included (not for ``'FB'``).
            Defaults to ``'implicit'``.
        confidence (float, optional): Mean confidence on the validation set, in [0, 1],
            for ``'FB'``. Defaults to None.
        gap (float, optional): What ``'FB'`` brings to 0, in [-1, 1]. Defaults to None:
            confidence - accuracy.
        visits (float): Visits of an image between two validations, > 0, for ``'FB'``.
            Defaults to 1.

    Returns:
        Tensor: New levels, ``(N,)``, in the dtype of ``alpha`` (computed in float64).

    Raises:
        ValueError: If an argument is out of its range, a shape differs, a value is not
            finite, or the name of the rule or solver is unknown.

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, Eq. 5 and 6; the implicit step
    and ``'FB'`` are ours (docs/rules.md derives them).
    """
    beta = check_beta(beta)
    _check_scalars(accuracy=accuracy, landmark=landmark, confidence=confidence)
    if rule not in RULES:
        raise ValueError(f'rule must be one of {", ".join(RULES)}, got {rule!r}')
    check_step(rule, solver, eta, lam)
    if alpha.shape != margin.shape or alpha.dim() != 1:
        raise ValueError(
            'alpha and margin must both have the shape (N,), got '
            f'{tuple(alpha.shape)} and {tuple(margin.shape)}'
        )
    levels, margins = alpha.double(), margin.double()
    if rule == 'FB':
        if gap is None and confidence is None:
            raise ValueError("rule='FB' needs confidence, the mean one, in [0, 1]")
        gap = confidence - accuracy if gap is None else float(gap)
        if not -1.0 <= gap <= 1.0:
            raise ValueError(f'gap must be in [-1, 1], got {gap!r}')
        if not visits > 0:
            raise ValueError(f'visits must be > 0, got {visits!r}')
        stepped = _feedback(levels, margins, beta, eta * lam, gap, visits, solver)
    else:
        intercept, slope = PENALTIES[rule](accuracy, beta, landmark)
        step = SOLVERS[solver]
        stepped = step(levels, margins, beta, eta, lam, intercept, slope)
    if not math.isfinite(stepped.sum()):  # levels are small: finite if all are
        raise ValueError(
            'alpha or margin holds a value that is not finite: leave images with nan '
            'logits out of the update'
        )
    if solver == 'released':
        limit = 1.0 / beta
        stepped = torch.where(stepped >= limit, limit - 0.01, stepped).clamp_min(0.0)
    else:
        stepped = stepped.clamp_(0.0, max_alpha(beta))
    return stepped.to(alpha.dtype)


def check_step(rule: str, solver: str, eta: float, lam: float) -> None:
    """Check what a step is made of.

    Args:
        rule (str): Name of the rule; only whether the solver has it is looked at.
        solver (str): Name of the solver.
        eta (float): Step size.
        lam (float): Weight of the penalty.

    Raises:
        ValueError: If a number is out of its range, the solver is unknown or has no
            such rule.
    """
    if not (isinstance(eta, Real) and 0 < eta < math.inf):
        raise ValueError(f'eta must be a positive number, got {eta!r}')
    if not (isinstance(lam, Real) and 0 <= lam < math.inf):
        raise ValueError(f'lam must be a number >= 0, got {lam!r}')
    if solver not in SOLVERS:
        raise ValueError(f'solver must be one of {", ".join(SOLVERS)}, got {solver!r}')
    if rule == 'FB' and solver == 'released':
        raise ValueError("the released code has no rule 'FB': use another solver")


def explicit_limit(rule: str, eta: float, beta: float) -> float:
    """Smallest ``lam`` at which the explicit solver is unstable.

    Args:
        rule (str): Name of the rule.
        eta (float): Step size, > 0.
        beta (float): The paper's strength in (0, 2].

    Returns:
        float: 4 / (eta * beta) for ``'MC'``, 1 / eta for ``'FB'``; inf for others.
    """
    return {'MC': 4 / (eta * beta), 'FB': 1 / eta}.get(rule, math.inf)


def _check_scalars(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(
                f'{name} must be a fraction in [0, 1] (not per cent), got {value!r}'
            )
