"""Self-calibrating binary cross entropy as a module."""

import torch
from torch import Tensor, nn

from ..argument_checks import (
    check_bool,
    check_choice,
    check_integer,
    check_number,
    optional,
)
from ..bands import border_row_values
from .batch import BatchDraw, independent_draw
from .counter_rng import pixel_uniform
from .eager import run_eagerly
from .functional import image_margin, sc_bce, sc_bce_per_image
from .perturbation import (
    Perturbation,
    check_alpha,
    perturb_target,
    resolve_perturbation,
    truncated_normal,
)
from .tensors import binary_logits, fit_weight, split_labels

__all__ = ['SelfCalibratingBCE']

REDUCTIONS = ('none', 'mean', 'sum')


class SelfCalibratingBCE(nn.Module):
    r"""Self-Calibrating Binary Cross Entropy (SC-BCE).

    Perturbs the label of each image, as a whole, with the image's own probability:
    :math:`t = y` or, with probability :math:`\alpha_i`,
    :math:`t = (1 - \beta) y + \beta / 2`, and averages BCE(z, t) over the valid pixels.

    With a draw of :meth:`ASLP.draw`, the levels come from the learner, and the loss
    leaves the margins of the images in the draw for :meth:`ASLP.update`. Without a
    draw, every call draws for itself with the fixed ``alpha``, from torch's global
    generator.

    One loss, by its arguments:

    =============================================  ===================================
    ``alpha=0``                                    binary cross entropy
    ``eps=0.1``                                    label smoothing
    ``beta='HI', alpha=a / 2, per_pixel=True``     DisturbLabel with noise rate a
    ``beta='HI' | 'SI' | 'M' | 'DM', alpha=0.05``  stochastic label perturbation (SLP)
    any of them with a draw of ``ASLP``            adaptive (ASLP)
    =============================================  ===================================

    Args:
        beta (str | float): Perturbation by name (``'HI'`` hard inversion 2, ``'SI'``
            soft inversion 1.5, ``'M'`` moderation 1, ``'DM'`` moderation with noise
            per pixel) or strength in (0, 2]. Defaults to 'HI'.
        alpha (float): Fixed level in [0, 1] with ``alpha * beta < 1``, used without a
            draw. Defaults to 0.
        deterministic (bool, optional): Train on the expected target instead of drawing:
            label smoothing with eps = alpha * beta. Defaults to None: draw, but take
            the expected target with levels by region, unless ``per_pixel`` is set.
        eps (float, optional): Label smoothing in [0, 1): short for
            ``deterministic=True, alpha=eps / beta``. Defaults to None.
        per_pixel (bool): Draw for every pixel instead of every image. Defaults to
            False.
        reduction (str): 'none', 'mean' (over the valid pixels) or 'sum'. Defaults to
            'mean'.
        ignore_index (int): Label of pixels without a label. Defaults to 255.

    Raises:
        ValueError: If an argument is out of its range.

    Shape:
        - logits: ``(N, 1, ...)``, ``(N, 2, ...)`` or, without a channel axis, the shape
          of the labels (maps without a channel axis have more than one row).
          Half precision is computed in float32.
        - labels: ``(N, ...)`` or ``(N, 1, ...)`` of {0, 1, ignore_index}, any dtype.
        - output: scalar; with 'none' ``(N, ...)``.

    Example:
        >>> criterion = SelfCalibratingBCE(beta='HI')
        >>> loss = criterion(torch.zeros(2, 1, 4, 4), torch.ones(2, 4, 4))
        >>> round(loss.item(), 4)
        0.6931

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_.
    """

    def __init__(
        self,
        beta: str | float | Perturbation = 'HI',
        alpha: float = 0.0,
        deterministic: bool | None = None,
        eps: float | None = None,
        per_pixel: bool = False,
        reduction: str = 'mean',
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        self.perturbation = resolve_perturbation(beta)
        if eps is not None:
            if alpha:
                raise ValueError('give either eps (label smoothing) or alpha, not both')
            deterministic, alpha = True, _level_of_smoothing(eps, self.perturbation)
        self.alpha = check_alpha(alpha, self.perturbation.beta)
        self.deterministic = optional(check_bool, 'deterministic', deterministic)
        self.per_pixel = check_bool('per_pixel', per_pixel)
        if deterministic and per_pixel:
            raise ValueError(
                'per_pixel=True draws and deterministic=True does not: set one of them'
            )
        self.reduction = check_choice('reduction', reduction, REDUCTIONS)
        self.ignore_index = check_integer('ignore_index', ignore_index)

    def extra_repr(self) -> str:
        """Show the perturbation in ``print(model)``."""
        name, beta = self.perturbation.name, self.perturbation.beta
        return (
            f'perturbation={name}, beta={beta:g}, alpha={self.alpha:g}, '
            f'deterministic={self.deterministic}, per_pixel={self.per_pixel}'
        )

    # The checks read values and the draw holds Python objects, so torch.compile cannot
    # trace this call. It skips the call instead of failing.
    @run_eagerly
    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        draw: BatchDraw | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss and leave the margins in the draw.

        Args:
            logits (Tensor): See above.
            labels (Tensor): See above.
            draw (BatchDraw, optional): The draw of this batch. Defaults to None.
            weight (Tensor, optional): Factor of the loss of every pixel; broadcasts
                with ``(N, ...)``. The mean still divides by the number of valid
                pixels. Defaults to None.

        Returns:
            Tensor: See above. Ignored pixels give 0; a batch with only such pixels
            gives 0.

        Raises:
            ValueError: If shapes do not fit, there are more than two channels, a label
                has another value, or the draw is for another batch or strength.
        """
        if logits.shape != labels.shape or _has_channel(labels):
            logits = binary_logits(logits)
            if labels.dim() == logits.dim() + 1 and labels.size(1) == 1:
                labels = labels.squeeze(1)
        if logits.shape != labels.shape:
            raise ValueError(
                f'labels of shape {tuple(labels.shape)} do not fit logits of shape '
                f'{tuple(logits.shape)} (channel axis taken away): give labels of 0 '
                'and 1 without a channel per class'
            )
        labels, valid = split_labels(labels, self.ignore_index)
        per_image = weight is None and self.reduction != 'none'
        loss, margin = self.losses(logits, labels, valid, draw, per_image)
        if draw is not None:
            draw.record(margin)
        if weight is not None:
            loss = loss * fit_weight(weight, loss, valid)
        if self.reduction == 'none':
            return loss
        loss = loss.sum()
        if self.reduction == 'sum':
            return loss
        count = logits.numel() if valid is None else valid.sum()
        return loss / torch.as_tensor(count).clamp_min(1)

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        valid: Tensor | None,
        draw: BatchDraw | None,
        per_image: bool,
    ) -> tuple[Tensor, Tensor]:
        """Losses and margins of inputs that are already checked.

        Args:
            logits (Tensor): ``(N, ...)``.
            labels (Tensor): 0 or 1, any dtype, same shape.
            valid (Tensor, optional): Bool, same shape; None if every pixel is valid.
            draw (BatchDraw, optional): The draw of this batch; None draws here.
            per_image (bool): Whether to sum over the pixels of each image, in one pass
                over them.

        Returns:
            tuple[Tensor, Tensor]: Loss, ``(N,)`` or ``(N, ...)``, and the margins of
            the images, ``(N,)``, detached.

        Raises:
            ValueError: If the draw is for another batch or another strength.
        """
        if draw is None:
            draw = independent_draw(self.alpha, len(logits))
        self._check_draw(draw, len(logits))
        strength, shared, noise = self._perturb(draw, labels, valid)
        if per_image:
            return sc_bce_per_image(logits, labels, strength, valid, noise, shared)
        target = perturb_target(labels, _per_pixel(strength, shared, labels), noise)
        margin = image_margin(logits, labels, valid)
        return sc_bce(logits, target, valid), margin

    def _check_draw(self, draw: BatchDraw, num_images: int) -> None:
        if len(draw) != num_images:
            raise ValueError(
                f'the draw is for a batch of {len(draw)} images but the loss is called '
                f'with {num_images}: use another loss in heads that split, drop or mix '
                'images'
            )
        beta = self.perturbation.beta
        if draw.beta is not None and draw.beta != beta:
            raise ValueError(
                f'the draw is for the strength beta={draw.beta:g} but the loss has '
                f'beta={beta:g}: give ASLP and every loss the same beta'
            )

    def _takes_expectation(self, draw: BatchDraw) -> bool:
        if self.deterministic is not None:
            return self.deterministic
        return draw.profile is not None and not self.per_pixel

    def _perturb(
        self, draw: BatchDraw, labels: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, int, Tensor | None]:
        """Strength (see :func:`_spread`), rows that share it, and noise or None."""
        beta, bound = self.perturbation.beta, self.perturbation.noise
        shape, device = labels.shape[1:], labels.device
        if self._takes_expectation(draw):
            return *_spread(beta * draw.levels, labels, valid), None
        if self.per_pixel:
            level = _per_pixel(*_spread(draw.levels, labels, valid), labels)
            # The negated keys are a stream apart from that of the noise below.
            uniform = pixel_uniform(~draw.keys, shape, device)
            chosen, shared = (0.5 * (uniform + 1) < level).float(), 1
        else:
            chosen, shared = _spread(draw.perturbed.float(), labels, valid)
            if not draw.perturbed.any():
                return chosen * beta, shared, None
        if not bound:
            return chosen * beta, shared, None
        noise = truncated_normal(pixel_uniform(draw.keys, shape, device), bound)
        return chosen * beta, shared, noise * _per_pixel(chosen, shared, labels)


def _spread(values: Tensor, labels: Tensor, valid: Tensor | None) -> tuple[Tensor, int]:
    """Values per image, (N,), or per image and band, (N, B + 1), as the labels need.

    Returns:
        tuple[Tensor, int]: ``(N,)`` and 1; or where the levels go by region
        ``(N, ceil(H / s), W)`` and the number s of rows that share one.
    """
    values = values.to(labels.device, non_blocking=True)
    if values.dim() == 1:
        return values, 1
    if labels.dim() != 3:  # points
        return values[:, -1], 1
    return border_row_values(labels, values[:, :-1], valid)


def _per_pixel(values: Tensor, shared_rows: int, labels: Tensor) -> Tensor:
    """Values that broadcast with the labels."""
    if shared_rows > 1:
        return values.repeat_interleave(shared_rows, 1)[:, : labels.shape[1]]
    if values.dim() == labels.dim():
        return values
    return values.view(-1, *[1] * (labels.dim() - 1))


def _has_channel(labels: Tensor) -> bool:
    """Whether labels of the shape of the logits have a channel axis, as they do."""
    size = labels.size(1) if labels.dim() >= 3 else 0
    return size == 1 or (size == 2 and labels.dim() > 3)


def _level_of_smoothing(eps: float, perturbation: Perturbation) -> float:
    eps = check_number('eps', eps, at_least=0, below=1)
    if eps > perturbation.beta:
        raise ValueError(
            f'eps = {eps!r} is more than beta = {perturbation.beta:g}, '
            'which gives a smoothing of at most that: leave beta out'
        )
    return eps / perturbation.beta
