"""Registered hooks."""

from .aslp_hook import ASLPHook
from .prob_map_hook import ProbMapHook

__all__ = ['ASLPHook', 'ProbMapHook']
