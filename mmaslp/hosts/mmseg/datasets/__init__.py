"""Registered data sets and transforms."""

from .cropping import RandomCenterCrop
from .loading import LoadBinaryAnnotations
from .sod import SODDataset
from .synthetic import SyntheticSODDataset

__all__ = [
    'LoadBinaryAnnotations',
    'RandomCenterCrop',
    'SODDataset',
    'SyntheticSODDataset',
]
