"""Registered datasets and transforms."""

from .sod import SODDataset
from .synthetic import SyntheticSODDataset, make_synthetic_sod
from .transforms import LoadBinaryAnnotations

__all__ = [
    'LoadBinaryAnnotations',
    'SODDataset',
    'SyntheticSODDataset',
    'make_synthetic_sod',
]
