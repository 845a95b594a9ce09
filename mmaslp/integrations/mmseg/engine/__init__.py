"""Registered hooks."""

from .aslp_hook import ASLPHook
from .calibrator_hook import CalibratorHook
from .prob_map_hook import ProbMapHook
from .review_hook import ReviewHook
from .windows_hook import WindowsHook

__all__ = [
    'ASLPHook',
    'CalibratorHook',
    'ProbMapHook',
    'ReviewHook',
    'WindowsHook',
]
