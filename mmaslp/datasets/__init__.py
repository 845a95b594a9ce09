"""Registered datasets and transforms."""

from .sod import SODDataset
from .synthetic import SyntheticSODDataset, make_synthetic_sod
from .transforms import LoadBinaryAnnotations, RandomCenterCrop

__all__ = [
    'LoadBinaryAnnotations',
    'RandomCenterCrop',
    'SODDataset',
    'SyntheticSODDataset',
    'make_synthetic_sod',
]
