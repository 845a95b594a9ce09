"""Registered data sets and transforms."""

from .sod import SODDataset, SyntheticSODDataset
from .transforms import LoadBinaryAnnotations, ObjectFreeCrop, RandomCenterCrop

__all__ = [
    'LoadBinaryAnnotations',
    'ObjectFreeCrop',
    'RandomCenterCrop',
    'SODDataset',
    'SyntheticSODDataset',
]
