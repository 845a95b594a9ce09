"""The core in pure torch: the method and the measurement; imports no mm* package.

:mod:`mmaslp.core.aslp` holds the method (levels, draws, loss, rules, learner),
:mod:`mmaslp.core.measure` the measurement (histogram, metrics, intervals,
temperature). Neither uses the other; both use the regions of an image,
:mod:`mmaslp.core.bands`.
"""

from .aslp import *  # noqa: F403
from .aslp import __all__ as _method
from .bands import border_bands
from .measure import BandTable, CalibrationHistogram

__all__ = ['CalibrationHistogram', 'BandTable', 'border_bands', *_method]
