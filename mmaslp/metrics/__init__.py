"""Calibration figures from counts, and their intervals.

A :class:`CalibrationHistogram` counts pixels. Its :class:`ScoreTable` (outcomes per
distinct score) and :class:`BinTable` (sums per bin) are what every figure is computed
from, in numpy, for one set of pixels or for many images and resamples at once. A
:class:`BandTable` holds the sums per band of distance from a border.
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
from .catalogue import BAND_ERRORS, METRICS, Metric, binned_metrics
from .errors import (
    average_precision,
    brier_decomposition,
    brier_score,
    debiased_l2,
    ks_error,
    roc_auc,
)
from .histogram import MODES, CalibrationHistogram
from .image_table import ImageRow, ImageTable

__all__ = [
    'BAND_ERRORS',
    'BORDERS',
    'METRICS',
    'MODES',
    'BandTable',
    'BinTable',
    'CalibrationHistogram',
    'ImageRow',
    'ImageTable',
    'Metric',
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
