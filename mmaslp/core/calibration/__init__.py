"""Calibration figures from counts: pure numpy, vectorised over images and resamples."""

from .bin_table import BinTable
from .binned_metrics import (
    binned_figures,
    brier_decomposition,
    debiased_l2,
    median_gap,
    signed_gap,
)
from .binning import check_bins, equal_mass, equal_width, sweep
from .histogram import MODES, CalibrationHistogram
from .score_metrics import average_precision, brier_score, ks_error, roc_auc
from .score_table import ScoreLevels
from .sorted_metrics import TIED, tied_figures

__all__ = [
    'MODES',
    'TIED',
    'BinTable',
    'CalibrationHistogram',
    'ScoreLevels',
    'average_precision',
    'binned_figures',
    'brier_decomposition',
    'brier_score',
    'check_bins',
    'debiased_l2',
    'equal_mass',
    'equal_width',
    'ks_error',
    'median_gap',
    'roc_auc',
    'signed_gap',
    'sweep',
    'tied_figures',
]
