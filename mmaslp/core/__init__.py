"""The core in pure torch: the method and the measurement; imports no mm* package.

:mod:`mmaslp.core.aslp` holds the method (levels, draws, loss, rules, learner),
:mod:`mmaslp.core.calibration` the measurement (histogram, metrics, intervals,
temperature). Neither uses the other; both use the regions of an image,
:mod:`mmaslp.core.regions`.
"""

from .aslp import *  # noqa: F403
from .aslp import __all__ as _method
from .calibration import CalibrationHistogram, RegionTable
from .regions import border_bands

__all__ = ['CalibrationHistogram', 'RegionTable', 'border_bands', *_method]
