"""Registered hooks."""

from .aslp_hook import ASLPHook
from .crac_hook import CRaCHook
from .prob_map_hook import ProbMapHook
from .temperature_hook import TemperatureHook

__all__ = ['ASLPHook', 'CRaCHook', 'ProbMapHook', 'TemperatureHook']
