"""The result of an evaluation."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from ..common.arguments import check_choice
from ..common.bands import BORDER_EDGES
from ..metrics.band_table import BORDERS, band_columns, band_scalars
from ..metrics.bins import BinTable, check_bins
from ..metrics.bootstrap import check_resamples, resample
from ..metrics.catalogue import METRICS, figures_of_images
from ..metrics.errors import brier_decomposition
from ..metrics.histogram import MODES, CalibrationHistogram
from ..metrics.image_table import ImageTable


def mask_checksum(label: np.ndarray | Tensor) -> int:
    """CRC-32 of a mask: of its size and its labels as bytes."""
    array = (
        label.byte().cpu().numpy() if isinstance(label, Tensor) else np.asarray(label)
    )
    size = zlib.crc32(str(array.shape).encode())
    return zlib.crc32(np.ascontiguousarray(array, np.uint8), size)


# A file of another version is refused: evaluate the model again.
FORMAT = 'mmaslp result 4'
# What the edges of bands count in, see :mod:`mmaslp.common.bands`.
BAND_UNIT = 'sqrt(height * width) / 64 pixels'


@dataclass(frozen=True)
class Result:
    """What the evaluation of one model on one set found.

    The metric makes it, files hold it, pages and comparisons read it.

    Attributes:
        images (ImageTable): The sums of every image.
        settings (dict): How it was measured: ``bins`` and ``mode`` of the confidence,
            ``resamples`` of the intervals, ``protocol`` and others.
        metrics (dict[str, float]): By the key of its :class:`~.figures.Metric`, and of
            single bands, see ``docs/metrics.md``; nan where undefined.
        intervals (dict[str, list[float]]): 95 % bounds of metrics over images.
        bin_intervals (list[list[float]]): Those of the accuracy per bin, low and high;
            empty without resamples.
        positive (dict[str, float]): The metrics in mode 'positive'; empty unless the
            mode is 'top_label' and there are two classes.
        model (str): Name of the model.
        dataset (str): Name of the set.
        no_foreground (bool): Whether no mask holds an object.
        measures (dict[str, float]): Figures of other libraries.
        pictures (list[dict]): See :func:`~mmaslp.report.pictures.make_picture`.
        files (list[dict]): Role, name and SHA-256 of what was evaluated.
    """

    images: ImageTable
    settings: dict[str, Any]
    metrics: dict[str, float]
    intervals: dict[str, list[float]] = field(default_factory=dict)
    bin_intervals: list[list[float]] = field(default_factory=list)
    positive: dict[str, float] = field(default_factory=dict)
    model: str = ''
    dataset: str = ''
    no_foreground: bool = False
    measures: dict[str, float] = field(default_factory=dict)
    pictures: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def num_pixels(self) -> int:
        """Number of valid pixels."""
        return int(self.images.num_pixels.sum())

    @cached_property
    def bins(self) -> BinTable:
        """``(bins,)`` sums per bin, pooled over all images."""
        return self.images.table.pooled()

    @cached_property
    def bands(self) -> dict[str, BinTable]:
        """``(5,)`` sums per band, by border of ``BORDERS``; empty without bands."""
        if self.images.bands is None:
            return {}
        pooled = self.images.bands.pooled()
        return {border: pooled.take(row) for row, border in enumerate(BORDERS)}

    def to_json(self) -> dict[str, Any]:
        """Lay the result out as its file does: figures at the top, for people."""
        content: dict[str, Any] = {
            'format': FORMAT,
            'model': self.model,
            'dataset': self.dataset,
            'no_foreground': self.no_foreground,
            **self.metrics,
            'num_images': self.num_images,
            'num_pixels': self.num_pixels,
            'bins': _columns(self.bins),
        }
        if self.bands:
            content['bands'] = {'edges': list(BORDER_EDGES), 'unit': BAND_UNIT}
        for border, table in self.bands.items():
            content['bands'][border] = {**_columns(table), **band_columns(table)}
        if self.bin_intervals:
            content['intervals'] = self.intervals
            content['bins']['low'], content['bins']['high'] = self.bin_intervals
        if self.positive:
            content['positive'] = self.positive

        content |= {'images': self.images.to_json(), 'settings': self.settings}
        for key in ('measures', 'pictures', 'files'):
            if getattr(self, key):
                content[key] = getattr(self, key)
        return content

    @classmethod
    def from_json(cls, content: Any) -> Result:
        """Rebuild a result, and compute anew what its table of images tells.

        Raises:
            ValueError: It is of another version, or a part does not fit; also KeyError
                and TypeError.
        """
        if not isinstance(content, dict) or 'images' not in content:
            raise ValueError('it holds something else')
        if content.get('format') != FORMAT:
            raise ValueError(
                'it was written by another version: evaluate the model again'
            )
        settings = content['settings']
        check_bins(settings['bins'])
        check_choice('mode', settings['mode'], MODES)
        check_resamples(settings.get('resamples', 0))
        images = ImageTable.from_json(content['images'], settings['bins'])
        pictures = content.get('pictures', [])
        for picture in pictures:
            for panel in picture['panels'].values():
                # What is not embedded would be an address to fetch.
                if not _text(panel['source']).startswith('data:image/'):
                    raise ValueError('a picture is not embedded')

        stored = {
            metric.key: _number(content[metric.key])
            for metric in METRICS
            if metric.needs and metric.key in content
        }
        positive = content.get('positive', {})
        found = cls(
            images,
            settings,
            {},
            positive={key: _number(value) for key, value in positive.items()},
            model=_text(content['model']),
            dataset=_text(content['dataset']),
            no_foreground=bool(content.get('no_foreground')),
            measures={k: _number(v) for k, v in content.get('measures', {}).items()},
            pictures=pictures,
            files=content.get('files', []),
        ).with_figures_of_images()
        return replace(found, metrics={**stored, **found.metrics})

    def with_figures_of_images(self) -> Result:
        """Add the figures that the table of images tells, and their intervals."""
        found = figures_of_images(self.images)
        found |= brier_decomposition(self.bins, found['brier'])
        figures = {key: float(value) for key, value in found.items()}
        if self.bands:
            scalars = band_scalars(self.bands[BORDERS[0]])
            figures |= {k: v for k, v in scalars.items() if not math.isnan(v)}
        figures |= self.metrics

        resamples = self.settings.get('resamples', 0)
        if not resamples:
            return replace(self, metrics=figures)
        drawn = resample(self.images, resamples)
        return replace(
            self,
            metrics=figures,
            intervals={key: drawn.interval(key).tolist() for key in drawn.metrics},
            bin_intervals=drawn.interval('bins').tolist(),
        )


def calibration_result(
    histogram: CalibrationHistogram,
    images: ImageTable,
    *,
    bins: int = 10,
    mode: str = 'top_label',
    resamples: int = 1000,
    settings: dict[str, Any] | None = None,
    model: str = '',
    dataset: str = '',
) -> Result:
    """Collect every metric of an evaluation."""
    settings = {**(settings or {}), 'bins': bins, 'mode': mode}
    if resamples:
        settings['resamples'] = resamples
    figures = histogram.compute(bins, mode)
    positive = {}
    if mode == 'top_label' and histogram.num_classes == 2:
        positive = histogram.compute(bins, 'positive')
    del figures['count']

    found = Result(
        images,
        settings,
        figures,
        positive=positive,
        model=model,
        dataset=dataset,
    )
    return found.with_figures_of_images()


def _columns(table: BinTable) -> dict[str, list]:
    return {
        'count': table.count.tolist(),
        'right': table.correct.tolist(),
        'conf': table.conf.tolist(),
    }


def _number(value: Any) -> float:
    """A figure of a file, in which null is nan."""
    return math.nan if value is None else float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a text')
    return value
