"""The core in pure torch: the method and the measurement; imports no mm* package.

:mod:`mmaslp.core.levels` holds the method (levels and their loss),
:mod:`mmaslp.core.measure` the measurement (histogram, metrics, intervals,
temperature). Neither uses the other; both use the bands of an image,
:mod:`mmaslp.core.bands`.
"""

from .bands import border_bands
from .levels import *  # noqa: F403
from .levels import __all__ as _method
from .measure import BandTable, CalibrationHistogram

__all__ = ['BandTable', 'CalibrationHistogram', 'border_bands', *_method]
