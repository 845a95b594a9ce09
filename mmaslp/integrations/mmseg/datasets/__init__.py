"""Registered data sets and transforms."""

from .sod import NucleiDataset, SODDataset
from .transforms import LoadBinaryAnnotations, ObjectFreeCrop, RandomCenterCrop

__all__ = [
    'LoadBinaryAnnotations',
    'NucleiDataset',
    'ObjectFreeCrop',
    'RandomCenterCrop',
    'SODDataset',
]
