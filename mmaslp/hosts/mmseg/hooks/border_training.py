"""Levels by band in a training of MMSegmentation."""

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.dist import broadcast_object_list

from ....core.levels import BorderLevels
from ..checks.findings import Finding
from ..checks.runner import band_metric
from .tracking import log_levels

__all__ = ['BorderTraining']


class BorderTraining:
    """Levels by band: they move after a validation, by its table of bands."""

    learns = True
    # A third of the training.
    default_warmup_epochs = None

    def __init__(self, gain: float = 1.0, **others: Any) -> None:
        if others:
            raise ValueError(
                f"ASLPHook(levels='border') has no option {next(iter(others))!r}: it "
                'takes gain'
            )
        self.levels = BorderLevels(gain)

    def findings(self, runner: Any, losses: list, schedule: Any) -> Iterator[Finding]:
        """Say what does not fit: no table of bands, too few validations."""
        band_metric(runner)
        finding = schedule.too_few_validations()
        if finding is not None:
            yield finding

    def start(self, runner: Any, losses: list, schedule: Any, seed: int) -> None:
        """Give the levels to the losses."""
        self._metric = band_metric(runner)
        self.levels = BorderLevels(self.levels.gain, schedule.validations_of_warmup)
        for loss in losses:
            loss.criterion.bind(self.levels)

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Nothing depends on the images of a batch."""

    def after_iter(self) -> None:
        """Levels move at validations only."""

    def observe(self, metrics: dict[str, Any]) -> None:
        """Move the levels by the table that the metric has counted."""
        table = [self._metric.table]
        broadcast_object_list(table)
        self.levels.observe(table[0])
        if self.levels.reason is not None:
            log_levels(self.levels.reason)

    def scalars(self) -> dict[str, float]:
        """Level of every band, the first at the border."""
        return {f'level_band{k}': v for k, v in enumerate(self.levels.levels.tolist())}

    def show(self, step: int) -> None:
        """The scalars say it all."""

    def resumed(self) -> str:
        """What a resumed run goes on with."""
        return f'levels by band: {self._listed()}'

    def finish(self, runner: Any) -> None:
        """Log the levels, and the bands that they cannot help."""
        log_levels(f'levels by band, from the border on: {self._listed()}')
        if self.levels.reason is not None:
            log_levels(self.levels.reason, logging.WARNING)
        gaps = self.levels.under_confident_bands
        if gaps:
            listed = ', '.join(f'{band} ({gap:+.3f})' for band, gap in gaps.items())
            log_levels(
                f'under-confident bands, 0 at the border (confidence - accuracy): '
                f'{listed}. Levels cannot raise a confidence: fit a calibrator, mmaslp '
                'fit CONFIG CHECKPOINT --out FILE'
            )

    def _listed(self) -> str:
        return ', '.join(f'{level:.4f}' for level in self.levels.levels.tolist())
