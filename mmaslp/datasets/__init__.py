"""Registered datasets and transforms."""

from .sod import SODDataset
from .transforms import LoadBinaryAnnotations

__all__ = ['LoadBinaryAnnotations', 'SODDataset']
