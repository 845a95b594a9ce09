"""The criterion: binary cross entropy against labels that levels smooth or perturb."""

import warnings
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from ..common.arguments import check_choice, check_integer, check_number, reading
from ..common.arrays import LabelWatch, one_logit_per_label, split_labels
from .functional import image_margin, sc_bce_per_image, sc_bce_per_pixel
from .perturbations import Perturbation, resolve_perturbation
from .targets import Batch, Levels, PerturbedByImage, Sample, Target


def run_eagerly(function: Any) -> Any:
    """Keep ``torch.compile`` from tracing a function, as ``torch.compiler.disable``.

    That decorator takes a second of every process, to import the compiler.
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        untraced = function
        if torch.compiler.is_compiling():
            untraced = torch.compiler.disable(function)
        return untraced(*args, **kwargs)

    return call


REDUCTIONS = ('none', 'mean', 'sum')


class SelfCalibratingBCE(nn.Module):
    r"""Binary cross entropy against labels that levels smooth or perturb.

    One loss, by its arguments:

    - ``ImageBandLevels()``: smoothing per image and band of distance from the label's
      border; ``BandLevels()``: per band alone
    - ``ImageLevels(ids)`` and its sample: the paper, ASLP
    - nothing: binary cross entropy; ``eps=0.1``: label smoothing
    - ``beta='HI', alpha=0.05``: stochastic label perturbation (SLP)
    - ``beta='HI', alpha=a / 2, per_pixel=True``: DisturbLabel with noise rate a

    With levels by band the target is :math:`(1 - \epsilon) y + \epsilon / 2`, where
    :math:`\epsilon` is the level of the band of the pixel, times the weight of the
    image for :class:`ImageBandLevels`; after ``eval()`` nothing is smoothed, so that a
    validation loss is binary cross entropy. Otherwise the label of an image is
    perturbed as a whole, :math:`t = (1 - \beta) y + \beta / 2`, with a probability:
    that of :class:`ImageLevels`, or the fixed ``alpha``, drawn by torch's global
    generator. The loss is the mean of :math:`\mathrm{softplus}(z) - t z` over the valid
    pixels, 0 without any. Any Dice loss may be added to it.

    Args:
        levels (ImageBandLevels | BandLevels | ImageLevels, optional): What moves the
            targets. Defaults to None.
        beta (str | float, optional): ``'HI'`` hard inversion 2, ``'SI'`` soft inversion
            1.5, ``'M'`` moderation 1, ``'DM'`` moderation with noise per pixel, or a
            strength in (0, 2]; without meaning for :class:`BandLevels`. Defaults to
            None: that of the levels given here, or 'HI'.
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
        - logits: ``(N, 1, ...)`` of three axes and more; ``(N, 2, ...)`` of a two-class
          head; ``(N, C, ...)`` of independent channels; or the shape of the labels, of
          which either may have an axis of one channel. Half precision is computed in
          float32.
        - labels: ``(N, ...)`` or ``(N, 1, ...)``, for independent channels
          ``(N, C, ...)``, of {0, 1, ignore_index}, any dtype.
        - ``...``: ``H, W``; ``D, H, W`` for volumes, whose bands lie in the plane of a
          slice; or anything else, such as points, which take the mean level of bands,
          as does one image without an axis of its own.
        - output: scalar; with 'none' the shape of the labels, without an axis of one
          channel.

    Example:
        >>> from mmaslp.levels import BandLevels
        >>> criterion = SelfCalibratingBCE(BandLevels())
        >>> loss = criterion(torch.zeros(2, 1, 4, 4), torch.ones(2, 4, 4))
        >>> round(loss.item(), 4)
        0.6931

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_; levels by band, and
    by image and band, are ours.
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
        has_strength = beta is not None or deterministic or per_pixel
        has_frequency = alpha or eps is not None
        self._perturbs_nothing = has_strength and not has_frequency
        self.perturbation = _perturbation_of(beta, levels)
        if eps is not None:
            if alpha:
                raise ValueError('give either eps (label smoothing) or alpha, not both')
            eps = check_number('eps', eps, at_least=0, below=1)
            alpha = eps / self.perturbation.beta
            deterministic = True

        self.alpha = alpha
        self._perturbed = PerturbedByImage(
            self.perturbation, alpha, deterministic, per_pixel
        )
        self.reduction = check_choice('reduction', reduction, REDUCTIONS)
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.channels = check_choice('channels', channels, (None, 'independent'))
        self._made_with = levels
        self.bind(levels)

    @property
    def levels(self) -> Levels | None:
        """BandLevels | ImageLevels, optional: See :meth:`bind`."""
        return self._levels

    def bind(self, levels: Levels | None) -> None:
        """Take levels in the place of those of an earlier training, or of none.

        Raises:
            ValueError: They do not fit the other arguments of the loss, or it was made
                with other levels.
        """
        if levels is not None and not isinstance(levels, Levels):
            raise ValueError(
                'levels must be ImageBandLevels, BandLevels or ImageLevels, got '
                f'{levels!r}'
            )
        if self._made_with is not None and levels is not self._made_with:
            raise ValueError(
                'the loss has levels of its own: give these to the callback or hook, '
                f'or leave {type(self._made_with).__name__} out of the loss'
            )

        target: Target = self._perturbed
        watch = LabelWatch()
        if levels is not None:
            target = levels.target(self._perturbed)
            watch = levels.watch
        self.target = target
        self.watch = watch
        self._levels = levels

    def state_dict(self, *args: Any, prefix: str = '', **options: Any) -> Any:
        """See :class:`torch.nn.Module`; a warning says that levels are not in it."""
        if self.levels is not None and not prefix:
            warnings.warn(
                'the state of the loss does not hold its levels: save '
                'levels.state_dict() too',
                stacklevel=2,
            )
        return super().state_dict(*args, prefix=prefix, **options)

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
                Defaults to None: the last one that was not given to ``update``; after
                ``eval()``, without one, nothing is perturbed.
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
        reduction = check_choice('reduction', reduction or self.reduction, REDUCTIONS)
        if ignore_index is None:
            ignore_index = self.ignore_index
        if sample is not None and not isinstance(sample, Sample):
            raise ValueError(
                f'sample must be that of ImageLevels, got {type(sample)}: weights of '
                'pixels are pixel_weight=...'
            )

        values, labels = one_logit_per_label(logits, labels, self.channels is not None)
        labels, valid = split_labels(labels, ignore_index)
        self.watch.see(logits, labels, valid)
        if self.training:
            self._count_batch()

        sample = self.target.sample_of(len(labels), sample, self.training)
        per_pixel = pixel_weight is not None or reduction == 'none'
        loss, margin = self._loss_and_margin(values, labels, valid, sample, per_pixel)
        if sample is not None and margin is not None:
            check_number('margin_weight', margin_weight, at_least=0)
            sample.record(margin, margin_weight)
        if pixel_weight is not None:
            loss = loss * _fit_weight(pixel_weight, loss, valid)
        return _reduced(loss, reduction, labels, valid, avg_factor)

    def _count_batch(self) -> None:
        """Tell the levels of a batch of the training; warn of a loss that has none."""
        if self.levels is not None and torch.is_grad_enabled():
            self.levels.count_batch()
        if self.levels is None and self._perturbs_nothing:
            warnings.warn(
                'the loss has a strength (beta, deterministic, per_pixel) and perturbs '
                'nothing: give it alpha, eps or levels',
                stacklevel=4,
            )

    def _loss_and_margin(
        self,
        logits: Tensor,
        labels: Tensor,
        valid: Tensor | None,
        sample: Sample | None,
        per_pixel: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Losses, and the margins of the images ``(N,)`` where a sample takes them.

        Losses are of the shape of the labels, or per image (by band: per slice) and
        made in one pass over the pixels.
        """
        shape = labels.shape
        logits = self.target.as_maps(logits)
        labels = self.target.as_maps(labels)
        if valid is not None:
            valid = self.target.as_maps(valid)
        # A batch may be empty.
        maps_per_image = max(1, len(labels) // max(1, shape[0]))

        strength = self.target.strength(Batch(labels, valid, sample, self.training))
        if not per_pixel:
            return sc_bce_per_image(logits, labels, strength, valid, maps_per_image)
        loss = sc_bce_per_pixel(logits, labels, strength, valid, maps_per_image)
        loss = loss.view(shape)
        if sample is None:
            return loss, None
        return loss, image_margin(logits, labels, valid)


def _perturbation_of(
    beta: str | float | Perturbation | None, levels: Levels | None
) -> Perturbation:
    """Perturbation of a loss: as it asks for, as its levels have it, or inversion."""
    if beta is None:
        beta = getattr(levels, 'perturbation', None)
    if beta is None:
        beta = 'HI'
    return resolve_perturbation(beta)


def _fit_weight(weight: Tensor, loss: Tensor, valid: Tensor | None) -> Tensor:
    """Give every pixel of a loss ``(N, ...)`` its weight; 0 where it is not valid."""
    wanted = f'pixel_weight must be a tensor that fits labels {tuple(loss.shape)}'
    with reading(f'{wanted}, got {weight!r:.80}'):
        if weight.dim() == loss.dim() + 1 and weight.size(1) == 1:
            weight = weight.squeeze(1)
        weight = weight.float().expand_as(loss)
    if valid is None:
        return weight
    return weight.masked_fill(~valid, 0.0)


def _reduced(
    loss: Tensor,
    reduction: str,
    labels: Tensor,
    valid: Tensor | None,
    avg_factor: float | None,
) -> Tensor:
    """Losses as they are, their sum, or their mean over the valid pixels."""
    if reduction == 'none':
        return loss
    if reduction == 'sum':
        return loss.sum()
    if avg_factor is not None:
        if not isinstance(avg_factor, Tensor):  # to read one would wait for a GPU
            check_number('avg_factor', avg_factor, above=0)
        elif avg_factor.numel() != 1:
            raise ValueError(
                f'avg_factor must be one number, got shape {tuple(avg_factor.shape)}'
            )
        else:  # 0 where all pixels are ignored, as MMSegmentation counts
            avg_factor = avg_factor.clamp(min=torch.finfo(loss.dtype).eps)
        return loss.sum() / avg_factor

    count: int | Tensor = labels.numel()
    if valid is not None:
        count = valid.sum()
    return loss.sum() / torch.as_tensor(count).clamp_min(1)
