"""Registered hooks."""

from .hooks import ASLPHook, ProbMapHook

__all__ = ['ASLPHook', 'ProbMapHook']
