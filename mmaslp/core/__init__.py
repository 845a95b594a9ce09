"""The core in pure torch: the method and the measurement; imports no mm* package.

:mod:`mmaslp.core.aslp` holds the method (levels, draws, loss, rules, learner),
:mod:`mmaslp.core.calibration` holds the measurement (histogram, metrics, intervals,
temperature). Neither uses the other; both use :mod:`mmaslp.core.regions`, the bands of
distance from a border.
"""

from .aslp import *  # noqa: F403
from .aslp import __all__ as _method
from .calibration import CalibrationHistogram

__all__ = ['CalibrationHistogram', *_method]
