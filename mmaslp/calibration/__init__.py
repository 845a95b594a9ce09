"""Calibrators: monotone maps of a finished network's output, chosen out of fold.

:class:`Calibrator` applies and keeps one. What fits one lies in
:mod:`mmaslp.calibration.fitting` and is imported when it is asked for:
:func:`fit_calibrator` fits to validation images.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .calibrator import Calibrator
from .decisions import Decisions
from .estimates import ImageEstimate, ObjectTable
from .masks import dice_optimal_mask
from .module import CalibratedModule
from .prompts import PromptEstimates, PromptJudge, PromptTable, fit_prompts
from .sets import SetComparison

if TYPE_CHECKING:
    from .fitting import CalibrationTables, fit_calibrator, fit_tables

_FITTING = ('CalibrationTables', 'fit_calibrator', 'fit_tables')

__all__ = [
    'CalibratedModule',
    'CalibrationTables',
    'Calibrator',
    'Decisions',
    'ImageEstimate',
    'ObjectTable',
    'PromptEstimates',
    'PromptJudge',
    'PromptTable',
    'SetComparison',
    'dice_optimal_mask',
    'fit_calibrator',
    'fit_prompts',
    'fit_tables',
]


def __getattr__(name: str) -> object:
    if name in _FITTING:
        return getattr(import_module('.fitting', __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
