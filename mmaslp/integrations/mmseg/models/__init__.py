"""The loss as the heads of MMSegmentation call theirs; in pure torch."""

from .losses import SCBCELoss

__all__ = ['SCBCELoss']
