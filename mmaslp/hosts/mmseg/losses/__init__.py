"""The loss as the heads of MMSegmentation call theirs; in pure torch."""

from .binary import BinaryLoss
from .sc_bce_loss import SCBCELoss

__all__ = ['BinaryLoss', 'SCBCELoss']
