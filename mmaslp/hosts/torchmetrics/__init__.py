"""Calibration of binary segmentation as metrics of TorchMetrics."""

from .binary_calibration import BinaryCalibration
from .binary_region_calibration import BinaryRegionCalibration
from .binary_temperature import BinaryTemperature

__all__ = ['BinaryCalibration', 'BinaryRegionCalibration', 'BinaryTemperature']
