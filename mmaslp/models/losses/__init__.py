"""Registered losses."""

from .binary_focal_loss import BinaryFocalLoss
from .brier_loss import BrierLoss
from .mbls_loss import MbLSLoss
from .ml1_ace_loss import ML1ACELoss
from .nacl_loss import NACLLoss
from .sc_bce_loss import SCBCELoss
from .svls_loss import SVLSLoss

__all__ = [
    'BinaryFocalLoss',
    'BrierLoss',
    'ML1ACELoss',
    'MbLSLoss',
    'NACLLoss',
    'SCBCELoss',
    'SVLSLoss',
]
