"""Calibration metrics from counts, and their intervals.

A :class:`CalibrationHistogram` counts pixels. Its :class:`ScoreTable` (outcomes per
distinct score) and :class:`BinTable` (sums per bin) are what every metric of pixels is
computed from, in numpy, for one set of pixels or for many images and resamples at once.
A :class:`BandTable` holds the sums per band of distance from a border, an
:class:`ImageTable` those of every image. :data:`METRICS` lists all metrics.
"""

from .band_table import BandTable
from .bins import BinTable, ScoreTable
from .catalogue import METRICS, Metric
from .histogram import CalibrationHistogram
from .image_table import ImageTable

__all__ = [
    'METRICS',
    'BandTable',
    'BinTable',
    'CalibrationHistogram',
    'ImageTable',
    'Metric',
    'ScoreTable',
]
