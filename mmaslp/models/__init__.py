"""Registered losses, necks and segmentors."""

from .losses import (
    BinaryFocalLoss,
    BrierLoss,
    CRaCLoss,
    MbLSLoss,
    ML1ACELoss,
    NACLLoss,
    SCBCELoss,
    SVLSLoss,
)
from .necks import DilatedFusionNeck
from .segmentors import BinarySegTTAModel

__all__ = [
    'BinaryFocalLoss',
    'BinarySegTTAModel',
    'BrierLoss',
    'CRaCLoss',
    'DilatedFusionNeck',
    'ML1ACELoss',
    'MbLSLoss',
    'NACLLoss',
    'SCBCELoss',
    'SVLSLoss',
]
