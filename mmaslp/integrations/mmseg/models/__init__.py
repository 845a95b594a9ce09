"""Registered models: the loss, the released decoder, test-time augmentation."""

from .losses import SCBCELoss

__all__ = ['SCBCELoss']
