"""Reliability diagrams and the calibration report."""

from .reliability import reliability_figure, save_figure

__all__ = ['reliability_figure', 'save_figure']
