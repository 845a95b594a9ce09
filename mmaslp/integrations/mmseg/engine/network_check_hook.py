"""Say when a calibrator was fitted to another network than the one that is tested."""

from typing import Any

from mmengine.hooks import Hook

from ....calibration.calibrator import Calibrator
from ..checks.findings import Finding, report_findings


class NetworkCheckHook(Hook):
    """Look at the weights once they are loaded, before the first image."""

    def __init__(self, calibrator: Calibrator) -> None:
        self.calibrator = calibrator

    def before_test(self, runner: Any) -> None:
        """Log a warning if the weights are other ones."""
        if not self.calibrator.is_fitted_to(runner.model):
            text = 'the calibrator was fitted to another network than this checkpoint'
            remedy = 'mmaslp fit CONFIG CHECKPOINT --out FILE, for this checkpoint'
            report_findings([Finding('warning', text, remedy)])
