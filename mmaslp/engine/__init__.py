"""Registered hooks."""

from .hooks import ASLPHook, CRaCHook, ProbMapHook, TemperatureHook

__all__ = ['ASLPHook', 'CRaCHook', 'ProbMapHook', 'TemperatureHook']
