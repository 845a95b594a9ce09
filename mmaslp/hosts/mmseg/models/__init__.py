"""Registered losses, necks and segmentors."""

from mmseg.registry import MODELS

from ..losses import SCBCELoss
from .binary_seg_tta import BinarySegTTAModel
from .dilated_fusion_neck import DilatedFusionNeck

__all__ = ['BinarySegTTAModel', 'DilatedFusionNeck', 'SCBCELoss']

MODELS.register_module(module=SCBCELoss)
