"""The one evaluator: images in, a result out, raw and calibrated in one pass."""

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from ..calibration.estimates import mask_estimates
from ..common.arguments import (
    check_bool,
    check_choice,
    check_integer,
    check_text,
    optional,
)
from ..common.inputs import naming
from ..common.maps import (
    LabelledMap,
    PixelScores,
    check_one_map,
    kind_of,
    refuse_calibrated,
)
from ..common.options import RESAMPLES
from ..metrics.band_table import BandTable
from ..metrics.bins import BinTable, check_bins, equal_width
from ..metrics.bootstrap import check_resamples, resample
from ..metrics.errors import brier_score
from ..metrics.histogram import MODES, NLL_UNIT, CalibrationHistogram, PixelCounts
from ..metrics.image_metrics import metrics_of_sums
from ..metrics.image_table import ImageTable
from ..metrics.objects import MaskTable
from .result import CALIBRATED, Result


def mask_checksum(label: np.ndarray | Tensor) -> int:
    """CRC-32 of a mask: of its size and its labels as bytes."""
    values = label
    if isinstance(label, Tensor):
        values = label.byte().cpu().numpy()
    size = zlib.crc32(str(tuple(label.shape)).encode())
    return zlib.crc32(np.ascontiguousarray(values, np.uint8).data, size)


@dataclass(frozen=True)
class EvaluatedImage:
    """What one image adds to an evaluation; processes can send it each other.

    Attributes:
        pixels (PixelCounts): All its pixels.
        row (ImageTable): Its row in the table of images.
        bands (np.ndarray | None): ``(42,)`` int64, :attr:`BandTable.totals`; None in
            positive mode and with more than two classes.
    """

    pixels: PixelCounts
    row: ImageTable
    bands: np.ndarray | None


def evaluate_image(
    name: str,
    prob: np.ndarray | Tensor,
    label: np.ndarray | Tensor,
    *,
    bins: int = 10,
    mode: str = 'top_label',
    ignore_index: int | None = 255,
    num_classes: int = 2,
    estimates: MaskTable | None = None,
) -> EvaluatedImage:
    """Count one image ``(H, W)`` or volume ``(D, H, W)``.

    ``estimates`` are those of a calibrator; by default what the probabilities tell. Of
    C > 2 classes ``prob`` is ``(C, H, W)``.
    """
    check_one_map(np.shape(label))
    if num_classes > 2:
        scores = PixelScores.from_arrays(prob, label, ignore_index, num_classes)
        pixels = PixelCounts.of_scores(scores, num_classes)
        row = _row_of_pixels(name, pixels, mask_checksum(label), bins, mode)
        return EvaluatedImage(pixels, row, bands=None)

    labelled = LabelledMap.from_arrays(prob, label, ignore_index)
    pixels = PixelCounts.of_scores(labelled.scores())
    row = _row_of_pixels(name, pixels, mask_checksum(label), bins, mode)
    if mode == 'positive':
        return EvaluatedImage(pixels, row, bands=None)

    bands = BandTable()
    bands.update_planes(labelled.labelled_planes())
    if estimates is None:
        estimates = mask_estimates(labelled)
    else:
        # Estimates are of the network's mask, and a calibrator may move it.
        moments = bands.moments
        predicted = np.array([moments.tp + moments.fp], np.int64)
        estimates = replace(estimates, predicted=predicted)
    row = replace(row, band_sums=bands.sums[None].cpu().numpy(), masks=estimates)
    return EvaluatedImage(pixels, row, bands.totals.cpu().numpy())


def _row_of_pixels(
    name: str, pixels: PixelCounts, checksum: int, bins: int, mode: str
) -> ImageTable:
    """The row of an image, as far as its pixels tell it."""
    scores = pixels.score_table(mode)
    table = equal_width(scores, bins)
    brier = 0.0
    if scores.total:
        brier = brier_score(scores) * scores.total
    return ImageTable(
        names=[check_text('name', name)],
        table=BinTable(table.count[None], table.correct[None], table.conf[None]),
        nll=np.array([pixels.nll / NLL_UNIT]),
        brier=np.array([brier]),
        checksums=np.array([checksum], np.int64),
    )


def _check_estimates(estimates: MaskTable, measured: MaskTable) -> None:
    """Refuse estimates of another map, or of another label."""
    if (
        not isinstance(estimates, MaskTable)
        or len(estimates.dice) != 1
        or estimates.foreground != measured.foreground
        or estimates.predicted != measured.predicted
        or estimates.pixels != measured.pixels
    ):
        raise ValueError(
            'estimates must be what Calibrator.scores makes of this map and label'
        )


@dataclass
class MeasuredImages:
    """Pixels and rows of the images so far, of one kind of probabilities."""

    histogram: CalibrationHistogram
    rows: list[ImageTable] = field(default_factory=list)

    def add(self, image: EvaluatedImage) -> None:
        """Add an image."""
        self.histogram.merge(image.pixels)
        self.rows.append(image.row)

    def merge(self, other: 'MeasuredImages') -> None:
        """Add the images of another set, which come later."""
        self.histogram.merge(other.histogram)
        # One table of many images takes a third of the memory of as many tables.
        if other.rows:
            self.rows.append(ImageTable.join(other.rows))

    def __len__(self) -> int:
        return sum(len(table) for table in self.rows)


class Evaluator:
    """Measures images, raw and calibrated in one pass.

    Args:
        bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' or 'positive'. Defaults to 'top_label'.
        ignore_index (int, optional): Label of pixels that do not count. Defaults to
            255.
        num_classes (int): With more than two, ``prob`` is ``(C, H, W)``. Defaults to 2.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import numpy as np
        >>> label = np.zeros((32, 32), np.uint8)
        >>> label[:, 16:] = 1
        >>> evaluator = Evaluator()
        >>> evaluator.add('a.png', np.where(label == 1, 0.9, 0.2), label)
        >>> round(evaluator.result('net', 'toy').metrics['ece'], 4)
        0.15
    """

    def __init__(
        self,
        bins: int = 10,
        mode: str = 'top_label',
        ignore_index: int | None = 255,
        num_classes: int = 2,
    ) -> None:
        modes = list(MODES)
        if num_classes != 2:
            modes.remove('positive')
        self.options: dict[str, Any] = {
            'bins': check_bins(bins),
            'mode': check_choice(f'mode, of {num_classes} classes,', mode, modes),
            'ignore_index': optional(check_integer, 'ignore_index', ignore_index),
            'num_classes': num_classes,
        }
        self.raw = MeasuredImages(CalibrationHistogram(num_classes))
        self.calibrated = MeasuredImages(CalibrationHistogram(num_classes))
        self._kinds: set[str] = set()  # images or volumes

    @classmethod
    def of_measured(cls, images: MeasuredImages, **options: Any) -> 'Evaluator':
        """Take images that are measured already, with the options of a new one."""
        evaluator = cls(**options)
        evaluator.raw = images
        return evaluator

    def add(
        self,
        name: str,
        prob: np.ndarray | Tensor,
        label: np.ndarray | Tensor,
        calibrated: np.ndarray | Tensor | None = None,
        estimates: MaskTable | None = None,
    ) -> None:
        """Measure one image ``(H, W)`` or volume ``(D, H, W)``.

        Args:
            name (str): Of the image.
            prob (np.ndarray | Tensor): Floating point in [0, 1], as the network gives
                it. A tensor of a calibrator is refused; an array, which does not say
                that it is calibrated, is counted as the network's.
            label (np.ndarray | Tensor): Of {0, 1, ignore_index}, same shape.
            calibrated (np.ndarray | Tensor, optional): What a calibrator made of
                ``prob``. Of all images or of none.
            estimates (MaskTable, optional): Those of the calibrator, see
                :meth:`~mmaslp.Calibrator.scores`.

        Raises:
            ValueError: The image cannot be measured. Nothing of it is counted then.
        """
        if calibrated is None and estimates is not None:
            raise ValueError('estimates are of calibrated maps: give calibrated too')
        refuse_calibrated(prob)

        raw = evaluate_image(name, prob, label, **self.options)
        if estimates is not None and raw.row.masks is not None:
            _check_estimates(estimates, raw.row.masks)
        if calibrated is not None:
            with naming('calibrated'):
                self.calibrated.add(
                    evaluate_image(
                        name, calibrated, label, estimates=estimates, **self.options
                    )
                )
        self.raw.add(raw)
        self._kinds.add(kind_of(label.shape))

    def merge(self, other: 'Evaluator') -> None:
        """Add the images of another evaluator of the same settings."""
        if other is self or getattr(other, 'options', None) != self.options:
            raise ValueError(f'merge takes another evaluator, of {self.options}')
        self._kinds |= other._kinds
        self.raw.merge(other.raw)
        self.calibrated.merge(other.calibrated)

    @property
    def names(self) -> list[str]:
        """list[str]: Names of the images, in the order that they came in."""
        names: list[str] = []
        for row in self.raw.rows:
            names += row.names
        return names

    def result(
        self,
        model: str,
        dataset: str,
        *,
        calibrated: bool = False,
        resamples: int = RESAMPLES,
        settings: dict[str, Any] | None = None,
        groups: Sequence[int] | None = None,
    ) -> Result:
        """Compute every metric and its interval.

        Args:
            model (str): Name of the model.
            dataset (str): Name of the set.
            calibrated (bool): Whether to take calibrated probabilities; the model is
                then called '{model}, calibrated'. Defaults to False.
            resamples (int): Of the bootstrap; 0: no intervals. Defaults to 1000.
            settings (dict, optional): Kept in the result. Defaults to none.
            groups (Sequence[int], optional): Number of the group of each image of
                :attr:`names`, such as a patient, over which intervals are. Defaults to
                none: each image is a group of its own.
        """
        if len(self._kinds) > 1:
            raise ValueError('images and volumes are mixed: measure each kind alone')
        calibrated = check_bool('calibrated', calibrated)
        table = self._table(calibrated, groups)
        if len(set(table.names)) < len(table):
            warnings.warn(
                f'{model}, {dataset}: two images have one name: measure each once, '
                'by a name of its own',
                stacklevel=2,
            )

        intervals: dict[str, list[float]] = {}
        if check_resamples(resamples):
            drawn = resample(table, resamples)
            intervals = {key: drawn.interval(key).tolist() for key in drawn.values}

        pixels = self._images(calibrated).histogram.pixels()
        bins = self.options['bins']
        mode = self.options['mode']
        # Those of all pixels are exact; sums over images are rounded.
        metrics = metrics_of_sums(table) | pixels.compute(bins, mode)
        positive = {}
        if mode == 'top_label' and pixels.num_classes == 2:
            positive = pixels.compute(bins, 'positive')

        result = Result(
            table,
            self._settings(settings, calibrated, table, resamples),
            metrics,
            intervals,
            positive,
            model,
            dataset,
            no_foreground=pixels.no_foreground,
        )
        if calibrated:
            return replace(result, model=model + CALIBRATED)
        return result

    def _settings(
        self,
        others: dict[str, Any] | None,
        calibrated: bool,
        table: ImageTable,
        resamples: int,
    ) -> dict[str, Any]:
        """How it was measured, after other settings."""
        settings = dict(others or {})
        settings |= {'bins': self.options['bins'], 'mode': self.options['mode']}
        if calibrated:
            settings.setdefault('calibrator', 'given')
        if table.groups is not None:
            settings['groups'] = table.num_groups
        if resamples:
            settings['resamples'] = resamples
        return settings

    def _images(self, calibrated: bool) -> MeasuredImages:
        if calibrated:
            return self.calibrated
        return self.raw

    def _table(self, calibrated: bool, groups: Sequence[int] | None) -> ImageTable:
        """The rows of all images, with their groups if these are told."""
        images = self._images(calibrated)
        if len(images) != len(self.raw):
            raise ValueError(
                f'{len(images)} of {len(self.raw)} images have calibrated '
                'probabilities: give them of all images'
            )
        table = ImageTable.empty(self.options['bins'])
        if images.rows:
            table = ImageTable.join(images.rows)
        if groups is not None:
            table = table.grouped(groups)
        return table
