"""The loss as the heads of MMSegmentation call theirs; in pure torch."""

from .sc_bce_loss import SCBCELoss

__all__ = ['SCBCELoss']
