"""Measuring calibration: registered metrics, and the same metrics for maps on disk."""

from importlib.util import find_spec

if find_spec('mmseg') is not None and find_spec('mmengine') is not None:
    from . import metrics  # noqa: F401
