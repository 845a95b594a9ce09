"""Levels per training image in a training of MMSegmentation."""

import csv
import io
import logging
import os.path as osp
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger, print_log

from ....core.argument_checks import check_bool
from ....core.levels import ImageLevels, Rule, make_rule
from ....core.levels.perturbation import check_alpha
from ....core.outputs import check_output, write_output
from ....report.diagrams import alpha_histogram
from ..checks.data import dataset_of, mixed_images
from ..checks.findings import Finding
from ..checks.levels import check_validation, measuring_metric
from ..checks.model import unwrap
from ..datasets.listing import batch_ids, image_ids
from ..trackers import send_picture
from .schedule import Schedule


class ImageTraining:
    """Levels per image: a sample before every iteration, an update after it."""

    def __init__(
        self,
        rule: str | dict | Rule = 'MC',
        alpha: float | None = None,
        draw_histogram: bool = True,
        **rule_options: Any,
    ) -> None:
        self.rule = make_rule(rule, **rule_options)
        self.alpha = None if alpha is None else check_alpha(alpha, 0.0)
        self.draw_histogram = check_bool('draw_histogram', draw_histogram)
        self.learns = self.rule.learns
        self.default_warmup_epochs = 5.0 if self.learns else 0.0

    def findings(
        self, runner: Any, losses: list, schedule: Schedule
    ) -> Iterator[Finding]:
        """Say what does not fit: mixed images, no accuracy."""
        preprocessor = getattr(unwrap(runner.model), 'data_preprocessor', None)
        yield from mixed_images(dataset_of(runner.train_loop), preprocessor)
        if self.learns:
            yield from check_validation(runner)

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Make the levels."""
        self._table = osp.join(runner.work_dir, 'alpha.csv')
        check_output(self._table, 'levels')  # now, and not at the end of the training
        self.levels = ImageLevels(
            dict.fromkeys(image_ids(dataset_of(runner.train_loop))),
            losses[0].perturbation.beta,
            self.rule,
            self._start_level(losses),
            seed,
            logger=MMLogger.get_current_instance(),
        )
        self._schedule = replace(schedule, num_images=len(self.levels.bank))
        self.levels.warmup = self._schedule.warmup
        self._losses = losses
        if self.learns:
            self._prefix = measuring_metric(runner).prefix
            warning = self._schedule.too_late()
            if warning:
                print_log(f'ASLP: {warning}', 'current', logging.WARNING)

    def _start_level(self, losses: list) -> float:
        """The hook's alpha; else 0, or that of the losses if nothing learns."""
        if self.alpha is not None or self.learns:
            return self.alpha or 0.0
        known = {loss.criterion.alpha for loss in losses}
        if len(known) > 1:
            raise ValueError(
                'the SCBCELoss modules have different levels alpha '
                f'{sorted(known)}: give ASLPHook the one alpha for all'
            )
        return known.pop()

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
        found = (metrics[f'{self._prefix}/{key}'] for key in ('acc', 'conf'))
        self.levels.observe(*found)

    def scalars(self) -> dict[str, float]:
        """Mean level of the images, ``alpha``, and its quantiles."""
        alpha = self.levels.alpha.numpy()
        names = ('alpha_p05', 'alpha_p50', 'alpha_p95')
        quantiles = np.quantile(alpha, (0.05, 0.5, 0.95)).tolist()
        return dict(zip(names, quantiles)) | {'alpha': float(alpha.mean())}

    def show(self) -> None:
        """Send the histogram to the trackers."""
        if self.draw_histogram and is_main_process():
            picture = alpha_histogram(self.levels.alpha.numpy(), self.levels.beta)
            send_picture('alpha_histogram', picture)

    def summary(self) -> str:
        """Say where the levels are."""
        mean = self.levels.alpha.mean().item()
        return f'levels of {len(self.levels.bank)} images, mean {mean:.4f}'

    def finish(self, runner: Any) -> None:
        """Write the table of images and levels, lowest level first."""
        if not is_main_process():
            return
        levels, ids = self.levels.alpha.numpy(), self.levels.bank.ids
        table = io.StringIO(newline='')
        writer = csv.writer(table)
        writer.writerow(['img_path', 'alpha'])
        order = np.argsort(levels, kind='stable')
        writer.writerows((ids[i], f'{levels[i]:.8f}') for i in order)
        # File names may not be UTF-8; Python passes such bytes on as surrogates.
        text = table.getvalue().encode(errors='surrogateescape')
        write_output(self._table, text, 'levels')
        print_log(f'ASLP: levels of images written to {self._table}', 'current')
