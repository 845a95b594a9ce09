"""Registered hooks."""

from .hooks import ASLPHook

__all__ = ['ASLPHook']
