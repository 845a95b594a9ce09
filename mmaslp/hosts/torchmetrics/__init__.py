"""Calibration of binary segmentation as metrics of TorchMetrics."""

try:
    import torchmetrics  # noqa: F401
except ImportError as error:
    raise ImportError(
        'mmaslp.hosts.torchmetrics needs TorchMetrics, which is not installed: run '
        '`pip install "mmaslp[torchmetrics]"`'
    ) from error

from .binary_band_calibration import BinaryBandCalibration
from .binary_calibration import BinaryCalibration

__all__ = ['BinaryBandCalibration', 'BinaryCalibration']
