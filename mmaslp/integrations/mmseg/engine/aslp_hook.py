"""Levels by band, or by image as in the paper, in a training of MMSegmentation."""

import logging
import math
import os.path as osp
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from mmengine.runner import IterBasedTrainLoop
from mmseg.registry import HOOKS
from torch import Tensor

from ....common.arguments import (
    check_bool,
    check_choice,
    check_integer,
    check_number,
    optional,
    reading,
)
from ....common.draws import seed_torch
from ....common.processes import gathered
from ....files.csv_tables import write_csv
from ....levels.bands import BandLevels
from ....levels.image import ImageLevels
from ....levels.image_bands import ImageBandLevels, weight_of
from ....levels.rules import Rule, make_rule
from ....losses.perturbations import check_alpha
from ....report.diagrams import alpha_histogram
from ....training.sessions import (
    BAND_LEVELS,
    ENOUGH,
    WARMUP,
    LevelsSession,
    Plan,
    make_band_levels,
)
from ..checkpoint import unwrap
from ..checks.findings import Finding
from ..checks.run import (
    check_once,
    check_validation,
    find_losses,
    measuring_metric,
    mixed_images,
)
from ..data import dataset_of, image_ids, leaf_sets
from ..evaluation.metrics import send_picture
from ..saving import save_safely
from ..work_dir import check_replaceable, note_written


class Schedule:
    """Schedule of a run; times are epochs or iterations, as the loop counts.

    Attributes:
        unit (int): Iterations of one unit of time.
        end (int): Time at which the training ends.
        iters_per_visit (int): Iterations in which every image comes about once.
        warmup (float): Iterations before the levels begin to move.
        validations (list[int]): Iterations of the validations before the end.
        plan (Plan): When levels move after validations.
    """

    def __init__(
        self,
        loop: Any,
        num_images: int,
        world_size: int,
        warmup_epochs: float | None,
        warmup_iters: float | None = None,
    ) -> None:
        loader = loop.dataloader
        batch_size = loader.batch_sampler.batch_size
        self.loop = loop
        self.iters_per_visit = -(-num_images // (batch_size * world_size))
        if isinstance(loop, IterBasedTrainLoop):
            self.unit = 1
            self.end = loop.max_iters
            iters_per_epoch = self.iters_per_visit
        else:
            self.unit = max(1, len(loader))
            self.end = loop.max_epochs
            iters_per_epoch = self.unit

        self.warmup: float = loop.max_iters // WARMUP
        if warmup_iters is not None:
            self.warmup = warmup_iters
        elif warmup_epochs is not None:
            self.warmup = warmup_epochs * iters_per_epoch

        self.validations = []
        for time in range(max(loop.val_begin, 1), self.end):
            if time % loop.val_interval == 0:
                self.validations.append(time * self.unit)
        before = [time for time in self.validations if time < self.warmup]
        self.plan = Plan(len(self.validations), len(before))

    @property
    def visits(self) -> float:
        """float: Visits of an image between two validations at present, at least 1."""
        return max(1.0, self.loop.val_interval * self.unit / self.iters_per_visit)

    def validation_is_due(self) -> bool:
        """Whether the loop validates now; a checkpoint is written before that."""
        time, into_epoch = divmod(self.loop.iter, self.unit)
        due = time % self.loop.val_interval == 0 or time == self.end
        # A checkpoint may lie in the middle of an epoch, too.
        return into_epoch == 0 and due and time >= max(self.loop.val_begin, 1)

    def too_late(self) -> Iterator[Finding]:
        """Warn of levels that never move: they also wait for the first validation."""
        end = self.loop.max_iters
        start = max(self.warmup, min(self.validations, default=end))
        if start >= end:
            yield Finding(
                'warning',
                f'the levels never move: warm-up ({self.warmup:g} iterations) and the '
                f'first validation end at iteration {start:g}, training at {end}',
                'a lower warmup_epochs of ASLPHook, or a lower train_cfg.val_interval',
            )

    def findings(self) -> Iterator[Finding]:
        """Refuse a schedule with too few validations for the levels."""
        if self.plan.problem is not None:
            left = self.end - math.ceil(self.warmup / self.unit)
            yield Finding(
                self.plan.problem,
                str(self.plan),
                f'train_cfg.val_interval = {max(1, left // (ENOUGH + 1))}, a longer '
                'training, or a lower warmup_epochs of ASLPHook',
            )


class PlainTraining:
    """Binary cross entropy, with the seeds of a training with levels."""

    learns = False
    default_warmup_epochs = None
    levels = None

    def findings(self, runner: Any, schedule: Schedule) -> Iterator[Finding]:
        """Say nothing: what trains without levels always fits."""
        yield from ()

    def start(self, runner: Any, losses: list, schedule: Schedule, seed: int) -> None:
        """Make no levels."""

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Draw nothing."""

    def after_iter(self) -> None:
        """Move nothing."""

    def show(self) -> None:
        """Send nothing."""

    def scalars(self) -> dict[str, float]:
        """No levels."""
        return {}

    def state(self) -> dict[str, Any]:
        """No levels."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over no levels."""

    def write_table(self) -> None:
        """Write nothing: there are no levels."""

    def summary(self) -> str:
        """Say that there are no levels."""
        return 'binary cross entropy without levels'

    def end_training(self) -> None:
        """Warn of nothing."""


def _has_alpha(losses: list) -> bool:
    """Whether a loss perturbs labels by itself."""
    return any(loss.criterion.alpha for loss in losses)


class BandTraining(LevelsSession):
    """Levels by band: they move after a validation, by its table of bands."""

    learns = True
    # A third of the training.
    default_warmup_epochs = None

    def __init__(self, levels: BandLevels) -> None:
        super().__init__(levels, logger=MMLogger.get_current_instance())

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
        self.plan(schedule.plan.validations, schedule.plan.warmup)

    def observe(self, metrics: dict[str, Any]) -> None:
        """Move the levels by the table that the metric has counted."""
        self.end_validation(gathered(self._metric.table)[0], whole=True)

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Draw nothing: labels follow the levels of the bands."""

    def after_iter(self) -> None:
        """Move nothing: levels move after a validation."""

    def show(self) -> None:
        """Send nothing: the log has each level."""

    def state(self) -> dict[str, Any]:
        """State of the levels."""
        return self.levels.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.levels.load_state_dict(state)

    def write_table(self) -> None:
        """Write nothing: no image has a level of its own."""


@dataclass
class ImageErrors:
    """Newest error of each image, a listener of :class:`ImageBandLevels`.

    It is an object of its own, so that a copy of a loss copies nothing of the training.
    """

    of_image: dict[str, float] = field(default_factory=dict)
    batch: list[str] = field(default_factory=list)  # names of its images, or none

    def __call__(self, errors: Tensor) -> None:
        """Keep the errors of the first head, which is the one that predicts."""
        if len(self.batch) == len(errors):
            self.of_image.update(zip(self.batch, errors.tolist()))
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
        self._table = osp.join(runner.work_dir, 'levels.csv')
        if self._names_images:
            # Now, and not at the end of the training.
            check_replaceable(runner, self._table)
        self._errors = ImageErrors()
        self.levels.listener = self._errors

    def before_iter(self, data_batch: Any, step: int) -> None:
        """Note the images of the batch."""
        if self._names_images:
            samples = data_batch['data_samples']
            self._errors.batch = [sample.get('img_path', '') for sample in samples]

    def observe(self, metrics: dict[str, Any]) -> None:
        """Move the levels, and join the errors that the processes have seen."""
        super().observe(metrics)
        for errors in gathered(self._errors.of_image):
            self._errors.of_image.update(errors)

    def state(self) -> dict[str, Any]:
        """State of the levels; what moves in each iteration is live in it."""
        return self.levels.state_dict() | dict(
            error_sums=self.levels.error_sums, images=self._errors.of_image
        )

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

        mean = sum(errors.values()) / len(errors)
        rows = []
        for name in sorted(errors, key=errors.__getitem__, reverse=True):
            row = dict(img_path=name, error=f'{errors[name]:.6f}')
            row['weight'] = f'{weight_of(errors[name], mean):.4f}'
            rows.append(row)
        write_csv(self._table, rows, ('img_path', 'error', 'weight'), overwrite=True)
        note_written(self._table)

    def end_training(self) -> None:
        """Say where the table is."""
        super().end_training()
        self.write_table()
        if self._errors.of_image and is_main_process():
            print_log(f'ASLP: errors of images written to {self._table}', 'current')


class ImageTraining:
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

    def state(self) -> dict[str, Any]:
        """State of the levels."""
        return self.levels.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.levels.load_state_dict(state)

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


def make_training(kind: str | None, **options: Any) -> Any:
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


@HOOKS.register_module()
class ASLPHook(Hook):
    """Levels that adapt the labels of :class:`SCBCELoss` in a training.

    ``levels='image_band'``, the default, smooths labels by the distance from their
    border and by the error of their image, :class:`~mmaslp.levels.ImageBandLevels`.
    After each validation it takes the table of bands that ``CalibrationMetric`` has
    counted. Any training pipeline goes, Mosaic too. At each checkpoint it writes
    ``levels.csv`` to the work directory: the training images by their error, the
    highest first, among which wrong masks gather.

    ``levels='band'`` smooths by the distance from the border alone,
    :class:`~mmaslp.levels.BandLevels`.

    ``levels='image'`` is the paper, :class:`~mmaslp.levels.ImageLevels`. Before every
    iteration it draws which images of the batch get a perturbed label; after it, it
    moves their levels. Images are told apart by ``img_path``. At each checkpoint it
    writes the table ``alpha.csv`` of images and levels.

    ``levels=None`` is binary cross entropy with the same seeds: the fair partner in a
    comparison. A training whose levels are 0 gives its weights bit for bit.

    Either state travels in the checkpoint (in MMEngine's ``MessageHub``). ``resume``
    restores it, ``load_from`` starts anew. The hook seeds torch's generators in every
    iteration from the seed of the run, the iteration and the rank, so after ``resume``
    dropout also continues as in an uninterrupted run.

    Args:
        levels (str, optional): ``'image_band'``, ``'band'``, ``'image'`` or None.
            Defaults to 'image_band'.
        warmup_epochs (float, optional): Epochs (under iteration loops: visits of each
            image) before the levels begin to move. Defaults to None: a third of the
            training; for ``'image'`` 5, with ``rule='fixed'`` 0.
        warmup_iters (float, optional): The warm-up in iterations instead of epochs.
            Defaults to None.
        log_interval (int): Iterations between two records of the levels in the training
            log. Defaults to 10.
        **options: For ``'image_band'`` and ``'band'`` the ``gain``. For ``'image'``
            ``rule`` (``'MC'``, the default, ``'ME'``, ``'FB'`` or ``'fixed'``) and its
            options (``eta``, ``lam`` and ``solver`` of :class:`~mmaslp.levels.MC` and
            :class:`~mmaslp.levels.ME`; ``landmark`` of ME; ``gain`` of
            :class:`~mmaslp.levels.FB`); ``alpha``, the level that every image starts
            with; ``draw_histogram``, whether to send a histogram of the levels to the
            visualizers (True).

    Raises:
        ValueError: At once if an argument is out of range. Before the first iteration
            if the model, the data, the evaluator or the schedule does not fit.

    Example:
        >>> custom_imports = dict(imports=['mmaslp'])
        >>> custom_hooks = [dict(type='ASLPHook')]

    Source: `Model Calibration in Dense Classification with Adaptive Label Perturbation
    <https://arxiv.org/abs/2307.13539>`_; levels by band, and by image and band, are
    ours.
    """

    # After the hooks that set up an iteration, and before logger (BELOW_NORMAL) and
    # checkpoint (VERY_LOW), so these see the levels of the same iteration.
    priority = 'NORMAL'
    STATE_KEY = 'aslp'

    def __init__(
        self,
        levels: str | None = 'image_band',
        warmup_epochs: float | None = None,
        warmup_iters: float | None = None,
        log_interval: int = 10,
        **options: Any,
    ) -> None:
        if levels == 'border':
            raise ValueError("levels='border' is levels='band' since version 0.7")
        self.kind = check_choice('levels', levels, KINDS)
        self.training = make_training(self.kind, **options)
        if warmup_epochs is not None and warmup_iters is not None:
            raise ValueError('give either warmup_epochs or warmup_iters, not both')
        if warmup_epochs is None:
            warmup_epochs = self.training.default_warmup_epochs
        self.warmup_epochs = optional(
            check_number, 'warmup_epochs', warmup_epochs, at_least=0
        )

        self.warmup_iters = optional(
            check_number, 'warmup_iters', warmup_iters, at_least=0
        )
        self.log_interval = check_integer('log_interval', log_interval, at_least=1)
        self.schedule: Any = None
        self._observed_iter: int | None = None

    @property
    def levels(self) -> Any:
        """Levels | None: The levels, from the start of a training on."""
        return self.training.levels

    def before_train(self, runner: Any) -> None:
        """Check the run, make the levels, restore the state of a resumed run."""
        check_once(runner, ('train', 'val'))
        save_safely(runner)
        # One seed for all ranks, independent of randomness.diff_rank_seed.
        self.seed = gathered(int(runner.seed))[0]
        self.schedule = self._schedule(runner)
        losses = find_losses(runner.model)
        self.training.start(runner, losses, self.schedule, self.seed)
        for loss in losses:
            loss.criterion.bind(self.levels)
        if runner.iter > 0:
            self._restore(runner.message_hub.get_info(self.STATE_KEY))
        self._publish_state(runner)

    def findings(self, runner: Any) -> Iterator[Finding]:
        """Say what in a run does not fit the levels; the doctor asks too."""
        if next(h for h in runner.hooks if isinstance(h, ASLPHook)) is not self:
            yield Finding(
                'error',
                'there are two ASLPHooks, and a training follows one kind of levels',
                'custom_hooks: one ASLPHook',
            )

        if find_losses(runner.model) or self.kind is None:
            yield from self.training.findings(runner, self._schedule(runner))
        else:
            yield Finding(
                'error',
                'ASLPHook found no SCBCELoss in the model, without which it has '
                'nothing to do',
                'model = dict(decode_head=dict(loss_decode=dict(_delete_=True, '
                "type='SCBCELoss')))",
            )

    def before_train_epoch(self, runner: Any) -> None:
        """Run the validation that a resumed run has missed."""
        missing = self._observed_iter != runner.iter
        if self.training.learns and missing and self.schedule.validation_is_due():
            print_log(
                f'ASLP: the checkpoint of iteration {runner.iter} was written before '
                'the validation of that moment: validating now',
                'current',
            )
            runner.val_loop.run()

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Draw, and seed torch's generators."""
        self.training.before_iter(data_batch, runner.iter)
        seed_torch(self.seed, runner.iter, get_rank())

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Move the levels of the images of the batch, and log."""
        self.training.after_iter()
        if runner.iter % self.log_interval == 0:
            for name, value in self.training.scalars().items():
                runner.message_hub.update_scalar(f'train/{name}', value)

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Pass what the validation has measured to the levels."""
        if self.schedule is None:
            return
        if self.training.learns:
            self.training.observe(metrics or {})
            self._observed_iter = runner.iter
            self._publish_state(runner)
        self.training.show()

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Write the table of images and levels."""
        if self.schedule is not None:
            self.training.write_table()

    def after_train(self, runner: Any) -> None:
        """Report the levels."""
        print_log(f'ASLP: {self.training.summary()}', 'current')
        self.training.end_training()

    def _schedule(self, runner: Any) -> Schedule:
        dataset = dataset_of(runner.train_loop)
        # Each image once, also of RepeatDataset.
        if self.kind == 'image':
            images = len(set(image_ids(dataset)))
        else:
            images = sum(map(len, leaf_sets(dataset)))

        return Schedule(
            runner.train_loop,
            images,
            get_world_size(),
            self.warmup_epochs,
            self.warmup_iters,
        )

    def _publish_state(self, runner: Any) -> None:
        """Put the state where every strategy saves it."""
        runner.message_hub.update_info(
            self.STATE_KEY,
            dict(
                kind=self.kind,
                seed=self.seed,
                observed_iter=self._observed_iter,
                levels=self.training.state(),
            ),
        )

    def _restore(self, saved: dict | None) -> None:
        if saved is None:
            print_log(
                'the checkpoint contains no state of ASLPHook (it was trained without '
                'it): all levels start anew',
                'current',
                logging.WARNING,
            )
            return

        try:
            if saved.get('kind') != self.kind:
                raise ValueError(f'the checkpoint has levels={saved.get("kind")!r}')
            self.training.load_state(saved['levels'])
            self.seed = check_integer('seed', saved['seed'], at_least=0)
            self._observed_iter = saved['observed_iter']
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'ASLPHook cannot go on: {error}; resume from another checkpoint, or '
                'train on from the weights of this one with load_from'
            ) from error

        print_log(f'ASLP: resumed {self.training.summary()}', 'current')
