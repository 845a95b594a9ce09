"""Adaptive Stochastic Label Perturbation for MMSegmentation.

``import mmaslp`` registers the loss, the hook, the metrics, the datasets and the
TTA model with MMSegmentation's registries. :mod:`mmaslp.core` is pure torch and works
without any host.
"""

import warnings
from importlib.util import find_spec

from .version import __version__

__all__ = ['__version__']

_HOST_MISSING = (
    'mmaslp registers nothing because MMSegmentation is not installed: run '
    '`pip install "mmaslp[onedl]"` (or "mmaslp[openmmlab]"); mmaslp.core works without it.'
)

if find_spec('mmseg') is None or find_spec('mmengine') is None:
    warnings.warn(_HOST_MISSING, stacklevel=2)
else:
    from . import datasets, engine, evaluation, models  # noqa: F401
    from .utils.checkpoint import allow_history_buffers

    allow_history_buffers()
