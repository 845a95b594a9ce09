"""What each kind of levels does in a training of MMSegmentation."""

import os.path as osp
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger, print_log
from torch import Tensor

from ....common.arguments import check_bool, check_number, reading
from ....common.processes import gathered
from ....files.csv_tables import write_csv
from ....levels.bands import BandLevels
from ....levels.image import ImageLevels
from ....levels.image_bands import ImageBandLevels
from ....levels.rules import Rule, make_rule
from ....losses.perturbations import check_alpha
from ....report.diagrams import alpha_histogram
from ....training.sessions import BAND_LEVELS, LevelsSession, make_band_levels
from ....training.written import note_written
from ..checkpoint import unwrap
from ..checks.findings import Finding
from ..checks.run import check_validation, find_losses, measuring_metric, mixed_images
from ..data import dataset_of, image_ids
from ..evaluation.metrics import send_picture
from ..work_dir import IMAGE_TABLE, check_replaceable
from .schedule import Schedule


class Training:
    """What ASLPHook does at each stage of a training; here nothing.

    A kind of levels overrides the stages that it needs.

    Attributes:
        learns (bool): Whether a validation moves the levels.
        default_warmup_epochs (float | None): Warm-up where the hook is given none; None
            is a third of the training.
        levels (Levels | None): The levels, from :meth:`start` on.
    """

    learns = True
    default_warmup_epochs: float | None = None
    levels: Any = None

    def findings(self, runner: Any, schedule: Schedule) -> Iterator[Finding]:
        """Say what in a run does not fit the levels."""
        yield from ()

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Make the levels before the first iteration."""

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Draw for the images of a batch."""

    def after_iter(self) -> None:
        """Move the levels of the images of the batch."""

    def observe(self, metrics: dict[str, Any]) -> None:
        """Take in what a validation has measured."""

    def show(self) -> None:
        """Send pictures to the trackers after a validation."""

    def scalars(self) -> dict[str, float]:
        """Figures for the training log."""
        return {}

    def state(self) -> dict[str, Any]:
        """State of the levels for a checkpoint."""
        if self.levels is None:
            return {}
        return self.levels.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        if self.levels is not None:
            self.levels.load_state_dict(state)

    def write_table(self) -> None:
        """Write the table of images."""

    def summary(self) -> str:
        """Say where the levels are."""
        return 'binary cross entropy without levels'

    def end_training(self) -> None:
        """Report after the last iteration."""


class PlainTraining(Training):
    """Binary cross entropy, with the seeds of a training with levels."""

    learns = False


def _has_alpha(losses: list) -> bool:
    """Whether a loss perturbs labels by itself."""
    return any(loss.criterion.alpha for loss in losses)


class BandTraining(Training):
    """Levels by band: they move after a validation, by its table of bands."""

    def __init__(self, levels: BandLevels) -> None:
        self.session = LevelsSession(levels, logger=MMLogger.get_current_instance())
        self.levels = self.session.levels

    def findings(self, runner: Any, schedule: Schedule) -> Iterator[Finding]:
        """Say what does not fit: no table of bands, too few validations."""
        yield from check_validation(runner)
        yield from schedule.findings()
        if _has_alpha(find_losses(runner.model)):
            yield Finding(
                'error',
                'the levels of ASLPHook give the smoothing of every pixel, and '
                'SCBCELoss has an alpha or eps of its own',
                "no alpha and eps in loss_decode, or ASLPHook(levels='image', "
                "rule='fixed')",
            )

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Set the warm-up of the levels."""
        self._metric: Any = measuring_metric(runner)
        self.session.plan(schedule.plan.validations, schedule.plan.warmup)

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Begin a batch.

        MMSegmentation trains the head that predicts before the auxiliary ones.
        """
        self.levels.start_batch()

    def after_iter(self) -> None:
        """End the batch."""
        self.levels.end_batch()

    def observe(self, metrics: dict[str, Any]) -> None:
        """Move the levels by the table that the metric has counted."""
        self.session.end_validation(gathered(self._metric.table)[0], whole=True)

    def scalars(self) -> dict[str, float]:
        """Level of every band."""
        return self.session.scalars()

    def summary(self) -> str:
        """Say where the levels are, and what they followed."""
        return self.session.summary()

    def end_training(self) -> None:
        """Warn if levels are still 0, with the reason."""
        self.session.end_training()


@dataclass
class ImageErrors:
    """Newest error of each image, a listener of :class:`ImageBandLevels`.

    It is an object of its own, so that a copy of a loss copies nothing of the training.
    """

    of_image: dict[str, float] = field(default_factory=dict)
    batch: list[str] = field(default_factory=list)  # names of its images, or none

    def __call__(self, errors: Tensor) -> None:
        """Keep the errors of a batch."""
        if len(self.batch) == len(errors):
            for name, error in zip(self.batch, errors.tolist()):
                if error == error:  # not of an image whose pixels are all ignored
                    self.of_image[name] = error
        self.batch = []


class ImageBandTraining(BandTraining):
    """Levels by image and band, with a table of the images and their errors."""

    levels: ImageBandLevels

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Set the warm-up of the levels, and the table of images."""
        super().start(runner, losses, schedule, seed)
        mixed = mixed_images(
            dataset_of(runner.train_loop),
            getattr(unwrap(runner.model), 'data_preprocessor', None),
        )
        self._names_images = next(mixed, None) is None
        self._table = osp.join(runner.work_dir, IMAGE_TABLE)
        if self._names_images:
            # Now, and not at the end of the training.
            check_replaceable(runner, self._table)
        self._errors = ImageErrors()
        self.levels.listener = self._errors

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Note the images of the batch, which the first head measures."""
        super().before_iter(data_batch, step)
        if self._names_images:
            samples = data_batch['data_samples']
            self._errors.batch = [sample.get('img_path', '') for sample in samples]

    def observe(self, metrics: dict[str, Any]) -> None:
        """Move the levels, and join the errors that the processes have seen."""
        super().observe(metrics)
        for errors in gathered(self._errors.of_image):
            self._errors.of_image.update(errors)

    def state(self) -> dict[str, Any]:
        """State of the levels, and the errors of the images."""
        return super().state() | dict(images=self._errors.of_image)

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        super().load_state(state)
        of_image: dict[str, float] = {}
        with reading('the errors of the images are damaged'):
            for name, error in state['images'].items():
                if error == error:  # not of logits that were nan
                    of_image[name] = check_number('error', error)
        self._errors.of_image = of_image

    def write_table(self) -> None:
        """Write the table of images, the highest error first."""
        errors = self._errors.of_image
        if not (is_main_process() and errors):
            return

        names = sorted(errors, key=errors.__getitem__, reverse=True)
        of_names = torch.tensor([errors[name] for name in names])
        weights = self.levels.weights_now(of_names).tolist()
        rows = []
        for name, weight in zip(names, weights):
            error = f'{errors[name]:.6f}'
            rows.append(dict(img_path=name, error=error, weight=f'{weight:.4f}'))
        write_csv(self._table, rows, ('img_path', 'error', 'weight'), overwrite=True)
        note_written(self._table)

    def end_training(self) -> None:
        """Say where the table is."""
        super().end_training()
        self.write_table()
        if self._errors.of_image and is_main_process():
            print_log(f'ASLP: errors of images written to {self._table}', 'current')


class ImageTraining(Training):
    """Levels per image: a sample before every iteration, an update after it."""

    def __init__(
        self,
        rule: str | Rule = 'MC',
        alpha: float | None = None,
        draw_histogram: bool = True,
        **rule_options: Any,
    ) -> None:
        self.rule = make_rule(rule, **rule_options)
        self.alpha = alpha
        if alpha is not None:
            self.alpha = check_alpha(alpha, 0.0)
        self.draw_histogram = check_bool('draw_histogram', draw_histogram)
        self.learns = self.rule.learns
        self.default_warmup_epochs = 0.0
        if self.learns:
            self.default_warmup_epochs = 5.0

    def findings(self, runner: Any, schedule: Schedule) -> Iterator[Finding]:
        """Say what does not fit: mixed images, no accuracy."""
        yield from mixed_images(
            dataset_of(runner.train_loop),
            getattr(unwrap(runner.model), 'data_preprocessor', None),
        )
        losses = find_losses(runner.model)
        if len({loss.criterion.perturbation.beta for loss in losses}) > 1:
            yield Finding(
                'error',
                'the SCBCELoss modules have different strengths beta, and ASLPHook '
                'draws for all together',
                'the same beta in each SCBCELoss',
            )

        if self.learns:
            yield from check_validation(runner)
            yield from schedule.too_late()
            if _has_alpha(losses):
                yield Finding(
                    'error',
                    'ASLPHook learns how often labels are perturbed, and SCBCELoss '
                    'has an alpha or eps of its own',
                    "no alpha and eps in loss_decode, or ASLPHook(rule='fixed')",
                )

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Make the levels."""
        self._table = osp.join(runner.work_dir, 'alpha.csv')
        # Now, and not at the end of the training.
        check_replaceable(runner, self._table)

        self._schedule = schedule
        self.levels = ImageLevels(
            dict.fromkeys(image_ids(dataset_of(runner.train_loop))),
            losses[0].criterion.perturbation.beta,
            self.rule,
            self._start_level(losses),
            seed,
            schedule.warmup,
            logger=MMLogger.get_current_instance(),
        )
        self.levels.expect_validations()
        if self.learns:
            self._prefix = measuring_metric(runner).prefix  # type: ignore[union-attr]

    def _start_level(self, losses: list) -> float:
        """The hook's alpha; else 0, or that of the losses if nothing learns."""
        if self.alpha is not None or self.learns:
            return self.alpha or 0.0
        levels = {loss.criterion.alpha for loss in losses}
        if len(levels) > 1:
            raise ValueError(
                'the SCBCELoss modules have different levels alpha '
                f'{sorted(levels)}: give ASLPHook the one alpha for all'
            )
        return levels.pop()

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Draw once per image, for all heads."""
        absent = 'no img_path: see meta_keys of PackSegInputs'
        samples = data_batch['data_samples']
        names = [sample.get('img_path', absent) for sample in samples]
        self._sample = self.levels.sample(names, step)

    def after_iter(self) -> None:
        """Move the levels of the images of the batch."""
        self.levels.update(self._sample, self._schedule.visits)

    def observe(self, metrics: dict[str, Any]) -> None:
        """Pass on what the validation reports."""
        self.levels.observe(
            metrics[f'{self._prefix}/acc'], metrics[f'{self._prefix}/conf']
        )

    def scalars(self) -> dict[str, float]:
        """Mean level of the images, ``alpha``, and its quantiles."""
        alpha = self.levels.alpha.numpy()
        scalars = {}
        for share in (5, 50, 95):
            scalars[f'alpha_p{share:02}'] = np.percentile(alpha, share).item()
        scalars['alpha'] = alpha.mean().item()
        return scalars

    def show(self) -> None:
        """Send the histogram to the trackers."""
        if self.draw_histogram and is_main_process():
            send_picture(
                'alpha_histogram',
                alpha_histogram(self.levels.alpha.numpy(), self.levels.beta),
            )

    def summary(self) -> str:
        """Say where the levels are."""
        alpha = self.levels.alpha
        return f'levels of {len(alpha)} images, mean {alpha.mean():.4f}'

    def end_training(self) -> None:
        """Say where the table is."""
        self.write_table()
        if is_main_process():
            print_log(f'ASLP: levels of images written to {self._table}', 'current')

    def write_table(self) -> None:
        """Write the table of images and levels, lowest level first."""
        if is_main_process():
            levels = self.levels.levels
            rows = []
            for name in sorted(levels, key=levels.__getitem__):
                rows.append(dict(img_path=name, alpha=f'{levels[name]:.8f}'))
            write_csv(self._table, rows, ('img_path', 'alpha'), overwrite=True)
            note_written(self._table)


# Values of the hook's argument ``levels``; 'image' is the paper's.
KINDS = (*BAND_LEVELS, 'image', None)


def make_training(kind: str | None, **options: Any) -> Training:
    """What a kind of levels does in a training."""
    if kind == 'image':
        return ImageTraining(**options)

    allowed = 'gain'
    if kind is None:
        allowed = 'left out'
    for name in options:
        if name != allowed:
            raise ValueError(
                f'an option of levels={kind!r} must be {allowed}, got {name!r}: rule '
                "and its options belong to the paper's levels='image'"
            )
    if kind is None:
        return PlainTraining()
    levels = make_band_levels(kind, **options)
    if isinstance(levels, ImageBandLevels):
        return ImageBandTraining(levels)
    return BandTraining(levels)
