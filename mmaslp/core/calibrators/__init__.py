"""Calibrators: monotone maps of a finished network's output, chosen out of fold.

:func:`fit_calibrator` fits one to validation images, :class:`Calibrator` applies and
keeps it. Everything is fitted from :class:`CalibrationTables`.
"""

from .calibrator import Calibrator
from .fit import fit_calibrator, fit_tables
from .module import CalibratedModule
from .tables import CalibrationTables

__all__ = [
    'CalibratedModule',
    'CalibrationTables',
    'Calibrator',
    'fit_calibrator',
    'fit_tables',
]
