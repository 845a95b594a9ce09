"""Levels by band in a training of MMSegmentation."""

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.logging import print_log

from ....core.levels import BorderLevels
from ...moves import where_levels_are
from ..checks.findings import Finding
from ..checks.levels import check_validation, measuring_metric
from .schedule import Schedule


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

    def findings(
        self, runner: Any, losses: list, schedule: Schedule
    ) -> Iterator[Finding]:
        """Say what does not fit: no table of bands, too few validations."""
        yield from check_validation(runner)
        yield from schedule.too_few_validations()

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Give the levels to the losses."""
        self._metric = measuring_metric(runner)
        self.levels = BorderLevels(self.levels.gain, schedule.validations_of_warmup)
        self.levels.expect_validations()
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
            print_log(f'ASLP: {self.levels.reason}', 'current')

    def scalars(self) -> dict[str, float]:
        """Level of every band, the first at the border."""
        return {f'level_band{k}': v for k, v in enumerate(self.levels.levels.tolist())}

    def show(self) -> None:
        """The scalars say it all."""

    def summary(self) -> str:
        """Say where the levels are, and what they followed."""
        return where_levels_are(self.levels)

    def finish(self, runner: Any) -> None:
        """Log why levels are still 0."""
        if self.levels.reason is not None:
            print_log(f'ASLP: {self.levels.reason}', 'current', logging.WARNING)
