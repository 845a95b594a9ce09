"""Calibration metrics from counts, and their intervals.

A :class:`CalibrationHistogram` counts pixels. Its :class:`ScoreTable` (outcomes per
distinct score) and :class:`BinTable` (sums per bin) are what every metric of pixels is
computed from, in numpy, for one set of pixels or for many images and resamples at once.
A :class:`BandTable` holds the sums per band of distance from a border, an
:class:`ImageTable` those of every image.
"""

from .band_table import BORDERS, BandTable, band_columns, band_scalars
from .bins import (
    BinTable,
    ScoreTable,
    check_bins,
    equal_mass,
    equal_width,
    signed_gap,
    sweep,
)
from .catalogue import METRICS, Metric
from .errors import (
    average_precision,
    binned_metrics,
    brier_decomposition,
    brier_score,
    debiased_l2,
    ks_error,
    roc_auc,
)
from .histogram import MODES, CalibrationHistogram, PixelCounts
from .image_metrics import BAND_ERRORS
from .image_table import ImageTable

__all__ = [
    'BAND_ERRORS',
    'BORDERS',
    'METRICS',
    'MODES',
    'BandTable',
    'BinTable',
    'CalibrationHistogram',
    'ImageTable',
    'Metric',
    'PixelCounts',
    'ScoreTable',
    'average_precision',
    'band_columns',
    'band_scalars',
    'binned_metrics',
    'brier_decomposition',
    'brier_score',
    'check_bins',
    'debiased_l2',
    'equal_mass',
    'equal_width',
    'ks_error',
    'roc_auc',
    'signed_gap',
    'sweep',
]
