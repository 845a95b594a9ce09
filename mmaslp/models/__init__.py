"""Registered losses and segmentors."""

from .losses import SCBCELoss
from .segmentors import BinarySegTTAModel

__all__ = ['BinarySegTTAModel', 'SCBCELoss']
