"""Registered losses, necks and segmentors."""

from mmseg.registry import MODELS

from ..losses import SCBCELoss
from .necks import DilatedFusionNeck
from .segmentors import BinarySegTTAModel

__all__ = ['BinarySegTTAModel', 'DilatedFusionNeck', 'SCBCELoss']

MODELS.register_module(module=SCBCELoss)
