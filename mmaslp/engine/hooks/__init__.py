"""Registered hooks."""

from .aslp_hook import ASLPHook

__all__ = ['ASLPHook']
