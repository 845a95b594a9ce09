"""Calibration figures from counts: pure numpy, vectorised over images and resamples."""

from .bin_table import BinTable
from .binning import check_bins, equal_mass, equal_width, sweep
from .figures import (
    binned_figures,
    brier_decomposition,
    debiased_l2,
    median_gap,
    signed_gap,
)
from .level_figures import average_precision, brier_score, ks_error, roc_auc
from .score_levels import ScoreLevels
from .tied_figures import TIED, tied_figures

__all__ = [
    'TIED',
    'BinTable',
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
