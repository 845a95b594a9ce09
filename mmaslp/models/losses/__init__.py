"""Registered losses."""

from .sc_bce_loss import SCBCELoss

__all__ = ['SCBCELoss']
