"""The criterion: binary cross entropy against labels that levels smooth or perturb."""

from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..common.arguments import check_bool, check_choice, check_integer, check_number
from ..common.arrays import LabelWatch, pair_shapes, split_labels
from ..common.bands import border_row_values
from ..common.draws import pixel_uniform
from .functional import image_margin, sc_bce, sc_bce_per_image
from .perturbations import (
    Perturbation,
    check_alpha,
    perturb_target,
    resolve_perturbation,
    truncated_normal,
)
from .sample import Sample, independent_sample


def run_eagerly(function: Any) -> Any:
    """Keep ``torch.compile`` from tracing a function, as ``torch.compiler.disable``.

    That decorator takes a second of every process, to import the compiler.
    """
    if not hasattr(torch.compiler, 'is_compiling'):  # torch 2.1
        return torch.compiler.disable(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call


REDUCTIONS = ('none', 'mean', 'sum')


class Levels:
    """What moves the targets of a criterion: :mod:`mmaslp.levels` has the two kinds.

    Attributes:
        by_band (bool): Whether ``levels`` is the smoothing of each band of distance
            from the label's border; else a sample says which images are perturbed.
        watch (LabelWatch): Counts the labels that the criterion sees.
    """

    by_band: ClassVar[bool]
    levels: Any
    watch: LabelWatch

    def count_batch(self) -> None:
        """Take notice of a batch of the training."""


class SelfCalibratingBCE(nn.Module):
    r"""Binary cross entropy against labels that levels smooth or perturb.

    One loss, by its arguments:

    - ``BorderLevels()``: smoothing per band of distance from the label's border
    - ``ImageLevels(ids)`` and its sample: the paper, ASLP
    - nothing: binary cross entropy; ``eps=0.1``: label smoothing
    - ``beta='HI', alpha=0.05``: stochastic label perturbation (SLP)
    - ``beta='HI', alpha=a / 2, per_pixel=True``: DisturbLabel with noise rate a

    With :class:`BorderLevels` the target is :math:`(1 - \epsilon_b) y + \epsilon_b/2`,
    where b is the band of the pixel; after ``eval()`` nothing is smoothed, so that a
    validation loss is binary cross entropy. Otherwise the label of an image is
    perturbed as a whole, :math:`t = (1 - \beta) y + \beta / 2`, with a probability:
    that of :class:`ImageLevels`, or the fixed ``alpha``, drawn by torch's global
    generator. The loss is the mean of :math:`\mathrm{softplus}(z) - t z` over the valid
    pixels, 0 without any. Any Dice loss may be added to it.

    Args:
        levels (BorderLevels | ImageLevels, optional): What moves the targets. Defaults
            to None.
        beta (str | float, optional): ``'HI'`` hard inversion 2, ``'SI'`` soft inversion
            1.5, ``'M'`` moderation 1, ``'DM'`` moderation with noise per pixel, or a
            strength in (0, 2]; without meaning for :class:`BorderLevels`. Defaults to
            None: that of the levels, or 'HI'.
        ignore_index (int): Label of pixels without a label. Defaults to 255.
        reduction (str): 'none', 'mean' (over the valid pixels) or 'sum'. Defaults to
            'mean'.
        channels (str, optional): ``'independent'`` for C sigmoid channels, which are C
            binary maps. Defaults to None: one map, or a two-class head.
        alpha (float): Fixed level in [0, 1] with ``alpha * beta < 1``, without
            ``levels``. Defaults to 0.
        deterministic (bool): Train on the expected target instead of drawing: label
            smoothing with eps = alpha * beta. Defaults to False.
        eps (float, optional): Label smoothing in [0, 1): short for
            ``deterministic=True, alpha=eps / beta``. Defaults to None.
        per_pixel (bool): Draw for every pixel instead of every image. Defaults to
            False.

    Raises:
        ValueError: If an argument is out of its range. In a call: if shapes do not fit,
            a label has another value, labels look like masks of 0 and 255, or the
            sample is missing or of another batch.

    Shape:
        - logits: ``(N, 1, ...)``; ``(N, 2, ...)`` of a two-class head; ``(N, C, ...)``
          of independent channels; or the shape of the labels. Half precision is
          computed in float32.
        - labels: ``(N, ...)`` or ``(N, 1, ...)``, for independent channels
          ``(N, C, ...)``, of {0, 1, ignore_index}, any dtype.
        - ``...``: ``H, W``; ``D, H, W`` for volumes, whose bands lie in the plane of a
          slice; or anything else, such as points, which take the mean level of bands.
        - output: scalar; with 'none' the shape of the labels.

    Example:
        >>> from mmaslp.levels import BorderLevels
        >>> criterion = SelfCalibratingBCE(BorderLevels())
        >>> loss = criterion(torch.zeros(2, 1, 4, 4), torch.ones(2, 4, 4))
        >>> round(loss.item(), 4)
        0.6931

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_; levels by band are ours.
    """

    def __init__(
        self,
        levels: Levels | None = None,
        beta: str | float | Perturbation | None = None,
        ignore_index: int = 255,
        reduction: str = 'mean',
        channels: str | None = None,
        alpha: float = 0.0,
        deterministic: bool = False,
        eps: float | None = None,
        per_pixel: bool = False,
    ) -> None:
        super().__init__()
        _check_levels(levels)
        beta = getattr(levels, 'perturbation', 'HI') if beta is None else beta
        self.perturbation = resolve_perturbation(beta)
        if eps is not None:
            if alpha:
                raise ValueError('give either eps (label smoothing) or alpha, not both')
            eps = check_number('eps', eps, at_least=0, below=1)
            if eps > self.perturbation.beta:
                raise ValueError(
                    f'eps = {eps!r} is more than beta = {self.perturbation.beta:g}, '
                    'which gives a smoothing of at most that: leave beta out'
                )
            deterministic = True
            alpha = eps / self.perturbation.beta

        self.alpha = check_alpha(alpha, self.perturbation.beta)
        self.deterministic = check_bool('deterministic', deterministic)
        self.per_pixel = check_bool('per_pixel', per_pixel)
        if deterministic and per_pixel:
            raise ValueError(
                'per_pixel=True draws and deterministic=True does not: set one of them'
            )

        self.reduction = check_choice('reduction', reduction, REDUCTIONS)
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.channels = check_choice('channels', channels, (None, 'independent'))
        if levels is not None and not levels.by_band and self.alpha:
            raise ValueError(
                'ImageLevels hold the level of each image: leave alpha and eps out of '
                'the loss'
            )

        self.bind(levels)

    def bind(self, levels: Levels | None) -> None:
        """Take levels in the place of the present ones."""
        _check_levels(levels)
        by_band = levels is not None and levels.by_band
        if by_band and (self.alpha or self.deterministic or self.per_pixel):
            raise ValueError(
                'BorderLevels give the smoothing of every band: leave alpha, eps, '
                'deterministic and per_pixel out of the loss'
            )
        self.levels = levels
        self.watch = LabelWatch() if levels is None else levels.watch

    def extra_repr(self) -> str:
        """Show the levels, or the perturbation, in ``print(model)``."""
        if self.levels is not None:
            return repr(self.levels)
        return f'beta={self.perturbation.beta:g}, alpha={self.alpha:g}'

    # The checks read values and the sample holds Python objects, so torch.compile
    # cannot trace this call. It skips the call instead of failing.
    @run_eagerly
    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        sample: Sample | None = None,
        *,
        pixel_weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction: str | None = None,
        ignore_index: int | None = None,
        margin_weight: float = 1.0,
    ) -> Tensor:
        """Compute the loss and leave the margins in the sample; see above.

        Args:
            logits (Tensor): See above.
            labels (Tensor): See above.
            sample (Sample, optional): That of the batch, of :class:`ImageLevels`.
                Defaults to None.
            pixel_weight (Tensor, optional): Weight of each pixel, of the shape of the
                labels or broadcasting with it. Defaults to None: 1.
            avg_factor (float, optional): Divisor of the sum, with reduction 'mean'.
                Defaults to None: the number of valid pixels.
            reduction (str, optional): In place of that of the constructor.
            ignore_index (int, optional): In place of that of the constructor.
            margin_weight (float): Of these margins among those of several heads.
                Defaults to 1.

        Returns:
            Tensor: See above.
        """
        reduction = self.reduction if reduction is None else reduction
        if ignore_index is None:
            ignore_index = self.ignore_index
        by_band = self.levels is not None and self.levels.by_band
        if sample is None and self.levels is not None and not by_band:
            raise ValueError(
                'ImageLevels need the sample of the batch: criterion(logits, labels, '
                'levels.sample(names, step)); for a validation loss use '
                'SelfCalibratingBCE()'
            )

        logits, labels = pair_shapes(logits, labels, self.channels is not None)
        if self.levels is not None and self.training and torch.is_grad_enabled():
            self.levels.count_batch()
        labels, valid = split_labels(labels, ignore_index, self.watch)
        self.watch.see_logits(logits)

        per_image = pixel_weight is None and reduction != 'none'
        loss, margin = self.losses(logits, labels, valid, sample, per_image)
        if sample is not None and margin is not None:
            sample.record(margin, margin_weight)
        if pixel_weight is not None:
            loss = loss * _fit_weight(pixel_weight, loss, valid)

        if reduction == 'none':
            return loss
        loss = loss.sum()
        if reduction == 'sum':
            return loss
        if avg_factor is not None:
            return loss / avg_factor
        count = labels.numel() if valid is None else valid.sum()
        return loss / torch.as_tensor(count).clamp_min(1)

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        valid: Tensor | None,
        sample: Sample | None,
        per_image: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Losses and margins ``(N,)`` of inputs ``(N, ...)`` that are checked.

        Losses are per image (by band: per slice) and made in one pass over the pixels,
        or of the shape of the labels. Points take the mean level of bands.
        """
        shape = labels.shape
        rows = 1
        noise = None
        if labels.dim() == 1:  # a pixel of each image
            logits = logits[:, None]
            labels = labels[:, None]
            valid = None if valid is None else valid[:, None]

        by_band = self.levels is not None and self.levels.by_band
        if by_band:
            if labels.dim() >= 3:
                size = (-1, *shape[-2:])
                logits = logits.reshape(size)
                labels = labels.reshape(size)
                valid = None if valid is None else valid.reshape(size)
            strength, rows = self._smooth(labels, valid)
        else:
            strength, noise = self._perturb(sample, labels)

        if per_image:
            loss, margin = sc_bce_per_image(
                logits, labels, strength, valid, noise, rows
            )
            return loss, None if by_band else margin

        if rows > 1:
            strength = strength.repeat_interleave(rows, 1)[:, : labels.shape[1]]
        target = perturb_target(labels, _like_pixels(strength, labels), noise)
        loss = sc_bce(logits, target, valid).view(shape)
        return loss, None if by_band else image_margin(logits, labels, valid)

    def _smooth(self, labels: Tensor, valid: Tensor | None) -> tuple[Tensor, int]:
        """Smoothing of each map or pixel, and how many rows of pixels share one."""
        levels: Any = self.levels
        if not (self.training and levels.levels.any()):
            return torch.zeros(len(labels), device=labels.device), 1
        if labels.dim() < 3:
            return torch.full((len(labels),), levels.mean_level).to(labels.device), 1
        eps = levels.levels.float().to(labels.device, non_blocking=True)
        return border_row_values(labels, eps, valid)

    def _perturb(
        self, sample: Sample | None, labels: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Strength, ``(N,)`` or per pixel, and noise or None."""
        if sample is None:
            sample = independent_sample(self.alpha, len(labels))
        if len(sample) != len(labels):
            raise ValueError(
                f'the sample is for a batch of {len(sample)} images but the loss is '
                f'called with {len(labels)}: use another loss in heads that split, '
                'drop or mix images'
            )

        if sample.beta not in (None, self.perturbation.beta):
            raise ValueError(
                f'the sample is for the strength beta={sample.beta:g} but the loss has '
                f'beta={self.perturbation.beta:g}: give ImageLevels and every loss the '
                'same beta'
            )

        beta = self.perturbation.beta
        bound = self.perturbation.noise
        shape = labels.shape[1:]
        device = labels.device
        alpha = sample.alpha.to(device, non_blocking=True)
        if self.deterministic:
            return beta * alpha, None
        if self.per_pixel:
            # The negated keys are a stream apart from that of the noise below.
            uniform = pixel_uniform(~sample.keys, shape, device)
            chosen = (0.5 * (uniform + 1) < _like_pixels(alpha, labels)).float()
        else:
            chosen = sample.perturbed.float().to(device, non_blocking=True)

        if not bound or not (self.per_pixel or sample.perturbed.any()):
            return chosen * beta, None
        noise = truncated_normal(pixel_uniform(sample.keys, shape, device), bound)
        return chosen * beta, noise * _like_pixels(chosen, labels)


def _check_levels(levels: Any) -> None:
    if not isinstance(levels, (Levels, type(None))):
        raise ValueError(f'levels must be BorderLevels or ImageLevels, got {levels!r}')


def _like_pixels(values: Tensor, labels: Tensor) -> Tensor:
    """Values per image, ``(N,)``, so that they broadcast with the labels."""
    return values.view(*values.shape, *[1] * (labels.dim() - values.dim()))


def _fit_weight(weight: Tensor, loss: Tensor, valid: Tensor | None) -> Tensor:
    """Give every pixel of a loss ``(N, ...)`` its weight; 0 where it is not valid."""
    weight = weight.float()
    if weight.dim() == loss.dim() + 1 and weight.size(1) == 1:
        weight = weight.squeeze(1)
    try:
        weight = weight.expand_as(loss)
    except RuntimeError as error:
        raise ValueError(
            f'weight of shape {tuple(weight.shape)} does not fit the labels of shape '
            f'{tuple(loss.shape)}'
        ) from error
    return weight if valid is None else weight.masked_fill(~valid, 0.0)
