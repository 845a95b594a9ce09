"""Registered losses, necks and segmentors."""

from .losses import SCBCELoss
from .necks import DilatedFusionNeck
from .segmentors import BinarySegTTAModel

__all__ = ['BinarySegTTAModel', 'DilatedFusionNeck', 'SCBCELoss']
