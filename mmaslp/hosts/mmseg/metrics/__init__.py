"""Registered metrics."""

from .calibration_metric import CalibrationMetric
from .sod_metric import SODMetric
from .streaming_metric import StreamingMetric

__all__ = ['CalibrationMetric', 'SODMetric', 'StreamingMetric']
