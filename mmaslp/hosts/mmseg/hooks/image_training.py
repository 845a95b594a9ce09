"""Levels per training image in a training of MMSegmentation."""

import logging
import os.path as osp
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger

from ....core.argument_checks import check_bool, check_text, optional
from ....core.levels import ImageLevels, Rule, make_rule
from ....core.levels.perturbation import check_alpha
from ....files.outputs import check_kind
from ..checks.data import dataset_of, mixed_images
from ..checks.findings import Finding
from ..checks.levels import start_level
from ..checks.runner import common_strength, metric_keys
from ..datasets.listing import batch_ids, image_ids
from ..losses.finding import unwrap
from .level_table import write_level_table
from .tracking import image_scalars, log_levels, send_levels

__all__ = ['ImageTraining', 'read_validation']


class ImageTraining:
    """Levels per image: a sample before every iteration, an update after it."""

    def __init__(
        self,
        rule: str | dict | Rule = 'MC',
        alpha: float | None = None,
        accuracy_key: str | None = None,
        draw_histogram: bool = True,
        export: str | None = 'alpha.csv',
        **rule_options: Any,
    ) -> None:
        self.rule = make_rule(rule, **rule_options)
        if not self.rule.learns and accuracy_key is not None:
            raise ValueError(
                f'rule={self.rule.name!r} reads no accuracy: leave accuracy_key out'
            )
        if export is not None and not str(export).lower().endswith('.csv'):
            raise ValueError(
                f'export must end in .csv, got {export!r}: it names a table, and no '
                'other file may be replaced by it'
            )
        self.alpha = None if alpha is None else check_alpha(alpha, 0.0)
        self.accuracy_key = optional(check_text, 'accuracy_key', accuracy_key)
        self.draw_histogram = check_bool('draw_histogram', draw_histogram)
        self.export = optional(check_text, 'export', export)
        self._losses: list = []

    @property
    def learns(self) -> bool:
        """bool: Whether the levels move at all."""
        return self.rule.learns

    @property
    def default_warmup_epochs(self) -> float:
        """float: Epochs of warm-up if nobody says."""
        return 5.0 if self.learns else 0.0

    def findings(self, runner: Any, losses: list, schedule: Any) -> Iterator[Finding]:
        """Say what does not fit: mixed images, different strengths, no accuracy."""
        preprocessor = getattr(unwrap(runner.model), 'data_preprocessor', None)
        yield from mixed_images(dataset_of(runner.train_loop), preprocessor)
        common_strength(losses)
        self._metric_keys(runner)

    def start(self, runner: Any, losses: list, schedule: Any, seed: int) -> None:
        """Check the run and make the levels."""
        if self.export is not None:  # now, and not at the end of the training
            check_kind(osp.join(runner.work_dir, self.export), 'levels', 'export')
        beta, self._keys = common_strength(losses), self._metric_keys(runner)
        alphas = [loss.criterion.alpha for loss in losses]
        level, warnings = start_level(self.alpha, alphas, self.learns)
        ids = [*image_ids(dataset_of(runner.train_loop))]
        logger = MMLogger.get_current_instance()
        self.levels = ImageLevels(ids, beta, self.rule, level, seed, logger=logger)
        schedule = replace(schedule, num_images=len(self.levels.bank))
        self.levels.warmup = schedule.warmup
        self._schedule, self._losses = schedule, losses
        if self.learns:
            warnings.append(schedule.late_start())
        for warning in filter(None, warnings):
            log_levels(warning, logging.WARNING)

    def _metric_keys(self, runner: Any) -> dict[str, str]:
        if not self.learns:
            return {}
        needs = self.rule.required_field is not None
        return metric_keys(runner, self.accuracy_key, needs)

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Draw once per image, for all heads."""
        self._sample = self.levels.sample(batch_ids(data_batch), step)
        for loss in self._losses:
            loss.criterion.sample = self._sample

    def after_iter(self) -> None:
        """Move the levels of the images of the batch."""
        for loss in self._losses:
            loss.criterion.sample = None
        self.levels.visits = self._schedule.visits
        self.levels.update(self._sample)

    def observe(self, metrics: dict[str, Any]) -> None:
        """Pass on what the validation reports."""
        self.levels.observe(**read_validation(metrics, self._keys))

    def scalars(self) -> dict[str, float]:
        """Mean level and quantiles."""
        return image_scalars(self.levels)

    def show(self, step: int) -> None:
        """Send the histogram."""
        if self.draw_histogram:
            send_levels(self.levels, step)

    def resumed(self) -> str:
        """What a resumed run goes on with."""
        mean = self.levels.alpha.mean().item()
        return f'levels of {len(self.levels.bank)} images, mean {mean:.4f}'

    def finish(self, runner: Any) -> None:
        """Write the table of images and levels."""
        if self.export is None or not is_main_process():
            return
        path, bank = osp.join(runner.work_dir, self.export), self.levels.bank
        write_level_table(path, bank.ids, bank.alpha.numpy())
        log_levels(f'levels of {len(bank)} images written to {path}')


def read_validation(metrics: dict[str, Any], keys: dict[str, str]) -> dict[str, float]:
    """Arguments of :meth:`~mmaslp.core.ImageLevels.observe`; per cent become shares."""
    key = keys['accuracy']
    if key not in metrics:
        raise ValueError(
            f'the validation reports no {key!r} for ASLPHook, only {sorted(metrics)}: '
            'set accuracy_key to one of these'
        )
    found = {name: float(metrics[key]) for name, key in keys.items()}
    if found['accuracy'] > 1.0:
        found['accuracy'] /= 100.0
    return found
