"""Calibration by band of distance from a border, and the masks of the images."""

import math
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.arguments import check_choice
from ..common.arrays import PIXELS_AT_ONCE
from ..common.bands import NUM_BANDS, border_cells, lines_of_cells
from ..common.maps import LabelledPlanes, mask_of
from .bins import BinTable, Columns, ratio, signed_gap
from .errors import accuracy, binned_error, confidence

# Whose border: the mask that the map predicts, or that of the labels.
BORDERS = ('predicted', 'true')
# Unit of shares of an image.
SHARE = 2**20


@dataclass(frozen=True)
class MaskAreas(Columns):
    """Valid pixels of the masks p > 0.5 of planes or images, ``(M,)`` int64 each.

    Attributes:
        predicted (np.ndarray): Those of the predicted mask.
        foreground (np.ndarray): Those of the label.
        correct (np.ndarray): Those whose class is right.
        valid (np.ndarray): All.
    """

    predicted: np.ndarray
    foreground: np.ndarray
    correct: np.ndarray
    valid: np.ndarray

    def of_images(self, images: int) -> 'MaskAreas':
        """Add up the planes of so many images, which have as many planes each."""
        sums = np.stack(self._columns()).reshape(4, images, -1).sum(2)
        return MaskAreas(*sums)


@dataclass(frozen=True)
class ImageMoments:
    """What images tell of their masks p > 0.5, summed over images: whole numbers all.

    Attributes:
        images (int): Images with valid pixels.
        ignored (int): Ignored pixels.
        tp (int): Pixels that are foreground in the mask and in the label; also ``fp``,
            ``fn``.
        hit (int): Share of an image's valid pixels that the intersection of mask and
            label takes, in units of 1 / SHARE; also ``union``, and ``right`` of pixels
            whose class is right. Two names stand for their product in each image.
    """

    images: int
    ignored: int
    tp: int
    fp: int
    fn: int
    hit: int
    union: int
    hit_hit: int
    hit_union: int
    union_union: int
    right: int
    right_right: int

    @classmethod
    def of(cls, areas: MaskAreas, size: int) -> 'ImageMoments':
        """Add up images of ``size`` pixels."""
        # Every wrong pixel is in one of the masks only.
        wrong = areas.valid - areas.correct
        tp = (areas.predicted + areas.foreground - wrong) // 2
        fp = areas.predicted - tp
        fn = areas.foreground - tp
        hit = _share(tp, areas.valid)
        union = _share(tp + fp + fn, areas.valid)
        right = _share(areas.correct, areas.valid)
        return cls(
            images=int((areas.valid > 0).sum()),
            ignored=int((size - areas.valid).sum()),
            tp=int(tp.sum()),
            fp=int(fp.sum()),
            fn=int(fn.sum()),
            hit=int(hit.sum()),
            union=int(union.sum()),
            hit_hit=int((hit * hit).sum()),
            hit_union=int((hit * union).sum()),
            union_union=int((union * union).sum()),
            right=int(right.sum()),
            right_right=int((right * right).sum()),
        )

    @property
    def iou(self) -> float:
        """float: Of all pixels together, as ``recall``."""
        return float(ratio(self.tp, self.tp + self.fp + self.fn))

    @property
    def recall(self) -> float:
        """float: nan without foreground."""
        return float(ratio(self.tp, self.tp + self.fn))

    @property
    def iou_error(self) -> float:
        r"""float: Standard error of the IoU over images, by the delta method.

        With :math:`t_i` and :math:`u_i` the shares of the n images that intersection
        and union of the masks take, and :math:`R = \sum t_i / \sum u_i`,

        .. math::
            se^2 = \frac{n}{n - 1} \sum_i (t_i - R u_i)^2 \Big/ \Big(\sum_i u_i\Big)^2

        nan of fewer than two images. Source: Cochran, Sampling Techniques, 1977,
        chapter 6.
        """
        if self.images < 2 or not self.union:
            return math.nan
        # The sum of squares, times that of u squared: no digit of a whole number is
        # lost where all images are alike.
        squares = (
            self.union**2 * self.hit_hit
            - 2 * self.union * self.hit * self.hit_union
            + self.hit**2 * self.union_union
        )
        return math.sqrt(self.images / (self.images - 1) * (squares / self.union**4))

    @property
    def acc_error(self) -> float:
        """float: Standard error over images of the share of right pixels."""
        n = self.images
        if n < 2:
            return math.nan
        squares = n * self.right_right - self.right**2
        return math.sqrt(squares / (n * n * (n - 1))) / SHARE


NUM_MOMENTS = len(fields(ImageMoments))


def _share(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Shares of the valid pixels, rounded, in units of 1 / SHARE; 0 without any."""
    some = valid.clip(min=1)
    return (pixels * SHARE + some // 2) // some


class BandTable:
    r"""Pixels, correct ones and summed confidence per band of distance from a border.

    For two classes and the top label: the prediction is :math:`p > 0.5`, its confidence
    :math:`\max(p, 1 - p)`. Every valid pixel counts twice: in its band of the
    *predicted* border, that of the mask :math:`p > 0.5` over all pixels of the map, and
    in its band of the *true* border, that of the labels, where ignored pixels make no
    border. Both are bands of :func:`~mmaslp.common.bands.border_bands`: they scale with
    the image, and images without a border are in the last one.

    With :math:`n_k` pixels, confidence :math:`c_k` and accuracy :math:`a_k` in band k
    of N pixels, over all images:

    .. math::
        ece\_band = \sum_k \frac{n_k}{N} |c_k - a_k|

    Confidences are summed in units of :math:`2^{-24}`, which moves each, and the error,
    by at most 3e-8. All sums are integers, so :meth:`merge` is exact, associative and
    commutative bit by bit. The table also holds what the mask p > 0.5 is worth, and how
    much that varies over images.

    Border bands in calibration: `Ding et al. 2021
    <https://arxiv.org/abs/2008.05105>`_ report the error in a fixed border band.

    Attributes:
        totals (Tensor): ``(42,)`` int64, all sums: :attr:`sums`, flat, then
            the numbers of :attr:`moments`. Tables of several processes add up by adding
            their totals.

    Example:
        >>> import torch
        >>> label = torch.zeros(64, 64)
        >>> label[:, 32:] = 1
        >>> table = BandTable()
        >>> table.update(0.1 + 0.8 * label, label)
        >>> [round(share, 3) for share in table.compute()['shares']]
        [0.031, 0.031, 0.062, 0.125, 0.75]
    """

    UNIT = 2**24

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def __init__(self) -> None:
        size = len(BORDERS) * NUM_BANDS * 3 + NUM_MOMENTS
        self.totals = torch.zeros(size, dtype=torch.int64)

    @property
    def sums(self) -> Tensor:
        """``(2, 5, 3)`` view of the sums per border of ``BORDERS`` and band.

        Number of pixels, of correct ones, summed confidence in units of 1 / ``UNIT``.
        """
        return self.totals[:-NUM_MOMENTS].view(len(BORDERS), -1, 3)

    @property
    def moments(self) -> ImageMoments:
        """ImageMoments: What the masks of the images are worth."""
        return ImageMoments(*self.totals[-NUM_MOMENTS:].tolist())

    def update(
        self,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None = 255,
    ) -> None:
        """Count the pixels of one image, or of a batch of images of one size.

        Bands lie in the plane of the last two axes: those of a volume in the plane of a
        slice. C channels are C independent binary maps, with bands of their own.

        Args:
            prob (Tensor | np.ndarray): ``(H, W)``, ``(N, H, W)``, ``(N, C, H, W)``,
                ``(N, D, H, W)`` or ``(N, C, D, H, W)``, floating point in [0, 1],
                probability of the foreground. Values up to 1e-6 outside are clamped;
                float16 and bfloat16 are cast up. All channels and slices of one of N
                are one image.
            label (Tensor | np.ndarray): Same shape, or without the channel of
                ``(N, 1, ...)``; of {0, 1, ignore_index}.
            ignore_index (int, optional): Pixels with this label count nowhere. What is
                predicted there still makes the predicted border; NaN predicts
                background. None ignores nothing. Defaults to 255.

        Raises:
            ValueError: Shapes do not fit or are not maps, ``prob`` is no floating point
                type, has NaN or values outside [0, 1], or ``label`` has other values.
                Nothing of the call has been counted then.
        """
        self.update_planes(LabelledPlanes.from_arrays(prob, label, ignore_index))

    def update_planes(self, planes: LabelledPlanes) -> None:
        """Count images of one size, see :class:`~mmaslp.common.maps.LabelledPlanes`."""
        if not planes.values.numel():
            return
        self.totals = self.totals.to(planes.values.device)
        # Some slices of a volume at a time, to bound the memory.
        step = max(1, 2**24 // planes.values[0].numel())
        areas = MaskAreas.join([self._count(part) for part in planes.split(step)])

        size = planes.values.numel() // planes.images
        moments = ImageMoments.of(areas.of_images(planes.images), size)
        row = torch.tensor(astuple(moments), device=self.totals.device)
        self.totals[-NUM_MOMENTS:].add_(row)

    def _count(self, planes: LabelledPlanes) -> MaskAreas:
        """Add the pixels of planes to the sums of their bands; return their areas."""
        predicted = mask_of(planes.values)
        foreground = planes.foreground
        correct = predicted == foreground
        valid = planes.valid
        usable = None
        if valid is not None:
            # An ignored pixel makes no true border, but it may make a predicted one.
            usable = torch.cat([torch.ones_like(valid), valid])
        # Both borders at once: small maps pay by the call.
        bands, cell = border_cells(torch.cat([predicted, foreground]), usable)
        sums = _sums_of_cells(cell, planes.values, correct, valid)
        for by_band, band in zip(self.sums, bands.chunk(len(BORDERS))):
            by_band.index_add_(0, band.flatten().long(), sums.view(-1, 3))

        masks = [predicted, foreground, correct]
        if valid is None:
            areas = [_area(mask) for mask in masks]
            areas.append(torch.full_like(areas[0], correct[0].numel()))
        else:
            areas = [_area(mask & valid) for mask in masks]
            areas.append(_area(valid))
        return MaskAreas(*torch.stack(areas).long().cpu().numpy())

    def merge(self, other: 'BandTable') -> None:
        """Add the pixels of another table."""
        if other is self or not isinstance(other, BandTable):
            refused = type(other).__name__
            if other is self:
                refused = 'itself'
            raise ValueError(f'merge takes another BandTable, not {refused}')
        self.totals += other.totals.to(self.totals.device)

    @property
    def count(self) -> int:
        """Number of valid pixels."""
        return int(self.sums[0, :, 0].sum())

    @property
    def one_class(self) -> bool:
        """Whether no label, or none but background, or none but foreground occurred."""
        return self.moments.tp + self.moments.fn in (0, self.count)

    @property
    def ignored(self) -> int:
        """Number of ignored pixels."""
        return self.moments.ignored

    def table(self, border: str = 'predicted') -> BinTable:
        """Sums per band of a border, 'predicted' or 'true', the band at it first."""
        check_choice('border', border, BORDERS)
        sums = self.sums[BORDERS.index(border)].cpu().numpy()
        return BinTable(sums[:, 0], sums[:, 1], sums[:, 2] / self.UNIT)

    def compute(self) -> dict[str, Any]:
        """Compute the calibration by band and what the predicted masks are worth.

        Returns:
            dict: ``ece_band`` and ``ece_band_true``, the mean over pixels of the
            absolute gap of their band of the predicted and of the true border; lists
            over the 5 bands of the predicted border, that at the border first:
            ``shares`` of the pixels, ``accuracies``, ``confidences`` and signed
            ``gaps``, confidence - accuracy; ``acc`` and ``conf`` of all pixels; and
            ``iou``, ``recall``, ``iou_se``, ``acc_se``, ``num_images`` of
            :class:`~.band_table.ImageMoments`. nan where there is no pixel.
        """
        table = self.table()
        columns = band_columns(table)
        moments = self.moments
        return {
            'ece_band': float(binned_error(table)),
            'ece_band_true': float(binned_error(self.table('true'))),
            'shares': columns['share'],
            'accuracies': columns['accuracy'],
            'confidences': columns['confidence'],
            'gaps': columns['gap'],
            'acc': float(accuracy(table)),
            'conf': float(confidence(table)),
            'iou': moments.iou,
            'iou_se': moments.iou_error,
            'recall': moments.recall,
            'acc_se': moments.acc_error,
            'num_images': moments.images,
        }


def band_columns(table: BinTable) -> dict[str, list[float]]:
    """List ``share``, ``accuracy``, ``confidence`` and ``gap`` of bands for a file."""
    return {
        'share': table.weight.tolist(),
        'accuracy': table.accuracy.tolist(),
        'confidence': table.mean_conf.tolist(),
        'gap': signed_gap(table).tolist(),
    }


def band_scalars(table: BinTable) -> dict[str, float]:
    """Name ``band{k}_gap``, ``band{k}_share`` and ``band{k}_acc`` of every band k."""
    columns = band_columns(table)
    scalars = {}
    for name, key in (('gap', 'gap'), ('share', 'share'), ('acc', 'accuracy')):
        for band, value in enumerate(columns[key]):
            scalars[f'band{band}_{name}'] = value
    return scalars


def _area(mask: Tensor) -> Tensor:
    """Number of pixels of each mask, ``(M,)`` int32.

    As bytes, and in 32 bits: torch adds up bools in 64, half as fast.
    """
    return mask.byte().flatten(1).sum(1, dtype=torch.int32)


def _sums_of_cells(
    cell: int, prob: Tensor, correct: Tensor, valid: Tensor | None
) -> Tensor:
    """Sums of ``(M, H, W)`` planes per cell of side s: ``(M, H / s, W / s, 3)``."""
    # In strips of cells whose temporaries stay in the cache.
    rows = max(PIXELS_AT_ONCE // (prob[:, 0].numel() * cell), 1) * cell
    sums = []
    for top in range(0, prob.shape[1], rows):
        strip = slice(top, top + rows)
        valid_strip = None
        if valid is not None:
            valid_strip = valid[:, strip]
        sums.append(_sums(cell, prob[:, strip], correct[:, strip], valid_strip))
    return torch.cat(sums, 1)


def _sums(cell: int, prob: Tensor, correct: Tensor, valid: Tensor | None) -> Tensor:
    """Pixels, correct ones and confidence of each cell, int64."""
    conf = torch.maximum(prob, 1 - prob)
    conf = conf.mul_(BandTable.UNIT).round_().int()
    if valid is None:
        valid = torch.ones_like(correct)
    else:
        correct = correct & valid
        conf = conf.masked_fill_(~valid, 0)
    return torch.stack(
        [
            _cell_sums(valid.byte(), cell),
            _cell_sums(correct.byte(), cell),
            _cell_sums(conf, cell),
        ],
        -1,
    )


def _cell_sums(values: Tensor, cell: int) -> Tensor:
    """Add up the pixels of each cell."""
    if cell == 1:
        return values.long()
    lines, columns = lines_of_cells(values, cell)
    # Columns of a cell in 32 bits, three times as fast, as long as their sums fit.
    dtype = torch.int64
    if cell * BandTable.UNIT < 2**31:
        dtype = torch.int32
    return lines.sum(2, dtype=dtype).unflatten(2, (columns, cell)).sum(3)
