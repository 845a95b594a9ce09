"""Registered data sets and transforms."""

from .sod import SODDataset, SyntheticSODDataset
from .transforms import LoadBinaryAnnotations, RandomCenterCrop

__all__ = [
    'LoadBinaryAnnotations',
    'RandomCenterCrop',
    'SODDataset',
    'SyntheticSODDataset',
]
