"""Registered transforms."""

from .loading import LoadBinaryAnnotations

__all__ = ['LoadBinaryAnnotations']
