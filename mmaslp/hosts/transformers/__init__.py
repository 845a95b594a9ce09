"""Levels by band and a calibrator in a training of Hugging Face's ``Trainer``."""

try:
    import accelerate  # noqa: F401
    import transformers  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'mmaslp.hosts.transformers needs {error.name}, which is not installed: run '
        '`pip install "mmaslp[transformers]"`'
    ) from error

from .calibrated import calibrated
from .self_calibration import SelfCalibration

__all__ = ['SelfCalibration', 'calibrated']
