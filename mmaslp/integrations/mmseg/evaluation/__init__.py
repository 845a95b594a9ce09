"""Registered metrics."""

from .metrics import CalibrationMetric, SODMetric, StreamingMetric

__all__ = ['CalibrationMetric', 'SODMetric', 'StreamingMetric']
