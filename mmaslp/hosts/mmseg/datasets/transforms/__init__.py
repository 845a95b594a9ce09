"""Registered transforms."""

from .cropping import RandomCenterCrop
from .loading import LoadBinaryAnnotations

__all__ = ['LoadBinaryAnnotations', 'RandomCenterCrop']
