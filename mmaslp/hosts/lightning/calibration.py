"""A calibrator for the weights that a validation has seen."""

import logging
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor

from ...core.calibrators import CalibrationTables, Calibrator, fit_tables
from ...core.calibrators.tables import joined
from ..torchmetrics.sum_metric import SumMetric

_logger = logging.getLogger('mmaslp')


class ValidationCalibrator:
    """Counts what a validation updates a metric with, and fits a calibrator to it."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)
        self._step: int | None = None
        self._fitted: Calibrator | None = None

    def listen(self, trainer: Trainer, metric: SumMetric) -> None:
        """Forget the last validation, and count from now on."""
        self.__init__(self.options)
        self._tables, images = CalibrationTables(), 0

        def count(prob: Tensor, target: Tensor, ignore_index: int | None) -> None:
            nonlocal images
            ignored = -1 if ignore_index is None else ignore_index
            for image, label in zip(prob, target):
                # As Lightning's sampler deals images out.
                key = images * trainer.world_size + trainer.global_rank
                self._tables.update(image, label, key, ignored)
                images += 1

        metric.listener = count

    def stop(self, metric: SumMetric, step: int) -> None:
        """Add up all processes; ``step`` is the number of batches so far."""
        metric.listener = None
        self._tables, self._step = joined(self._tables), step

    def fitted(self, step: int) -> Calibrator | None:
        """Calibrator of the weights after ``step`` batches; None if nobody saw them."""
        if step != self._step:
            return None
        if self._fitted is None:
            try:
                self._fitted = fit_tables(self._tables, **self.options)
            except ValueError as error:  # a training must not end so
                _logger.warning(f'ASLPCallback fits no calibrator: {error}')
                self._step = None
        return self._fitted

    def restore(self, plain: Mapping[str, Any] | None, step: int) -> None:
        """Take the calibrator of a checkpoint."""
        if plain is not None:
            self._fitted, self._step = Calibrator(**plain), step


def to_plain(calibrator: Calibrator | None) -> dict[str, Any] | None:
    """Arguments that make it again, as numbers, lists and strings."""
    if calibrator is None:
        return None
    names = ('method', 'by', 'target', 'maps', 'record', 'mask_maps')
    plain = {name: getattr(calibrator, name) for name in names}
    for name in ('maps', 'mask_maps'):
        plain[name] = [[[*map(float, part)] for part in each] for each in plain[name]]
    return plain
