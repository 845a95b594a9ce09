"""Calibration of binary segmentation as metrics of TorchMetrics."""

from .binary_band_calibration import BinaryBandCalibration
from .binary_calibration import BinaryCalibration

__all__ = ['BinaryBandCalibration', 'BinaryCalibration']
