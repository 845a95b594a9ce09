"""Registered hooks."""

from .aslp_hook import ASLPHook
from .prob_map_hook import ProbMapHook
from .temperature_hook import TemperatureHook

__all__ = ['ASLPHook', 'ProbMapHook', 'TemperatureHook']
