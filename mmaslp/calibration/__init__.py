"""Calibrators: monotone maps of a finished network's output, chosen out of fold.

:func:`fit_calibrator` fits one to validation images, :class:`Calibrator` applies and
keeps it. Everything is fitted from :class:`CalibrationTables`.
"""

from .calibrator import CalibratedModule, Calibrator
from .decisions import Decisions
from .estimates import ImageEstimate, ObjectTable
from .fit import fit_calibrator, fit_tables
from .masks import dice_optimal_mask
from .tables import CalibrationTables

__all__ = [
    'CalibratedModule',
    'CalibrationTables',
    'Calibrator',
    'Decisions',
    'ImageEstimate',
    'ObjectTable',
    'dice_optimal_mask',
    'fit_calibrator',
    'fit_tables',
]
