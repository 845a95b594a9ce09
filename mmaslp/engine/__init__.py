"""Registered hooks."""

from .hooks import ASLPHook, ProbMapHook, TemperatureHook

__all__ = ['ASLPHook', 'ProbMapHook', 'TemperatureHook']
