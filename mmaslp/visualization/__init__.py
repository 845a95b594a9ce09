"""Diagrams of calibration and the calibration report."""

from .regions import region_figure
from .reliability import reliability_figure, save_figure

__all__ = ['region_figure', 'reliability_figure', 'save_figure']
