"""Registered data sets and transforms."""

from .sod import SODDataset
from .synthetic import SyntheticSODDataset
from .transforms import LoadBinaryAnnotations, RandomCenterCrop

__all__ = [
    'LoadBinaryAnnotations',
    'RandomCenterCrop',
    'SODDataset',
    'SyntheticSODDataset',
]
