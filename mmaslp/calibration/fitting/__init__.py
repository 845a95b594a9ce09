"""Fitting calibrators: tables of pixels, candidates, the choice out of fold."""

from .fit import fit_calibrator, fit_tables
from .tables import CalibrationTables

__all__ = ['CalibrationTables', 'fit_calibrator', 'fit_tables']
