"""Registered necks."""

from .dilated_fusion_neck import DilatedFusionNeck

__all__ = ['DilatedFusionNeck']
