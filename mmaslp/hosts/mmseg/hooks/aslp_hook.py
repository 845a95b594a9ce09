"""The hook that runs the learner of the levels in a training of MMSegmentation."""

import logging
import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.dist import (
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from mmseg.registry import HOOKS
from torch import Tensor

from ....core.argument_checks import (
    check_bool,
    check_integer,
    check_number,
    check_text,
    optional,
)
from ....core.aslp import ASLP, DrawSlot, Rule, make_rule
from ....core.aslp.counter_rng import generator_seed
from ....core.aslp.perturbation import check_alpha
from ....core.aslp.region_levels import check_regions
from ....files.outputs import check_kind
from ...seeding import seed_torch
from ..checks.data import dataset_of, mixed_images
from ..checks.findings import Finding, report_findings
from ..checks.levels import start_level
from ..checks.run import check_run
from ..checks.runner import check_losses, metric_keys
from ..datasets.listing import batch_ids, image_ids
from ..losses.finding import find_losses, unwrap
from ..metrics.run_context import publish_scalar_step
from .level_table import write_level_table
from .measured import read_measured
from .schedule import Schedule, is_validation_due
from .tracking import level_scalars, scalar_step, send_levels


@HOOKS.register_module()
class ASLPHook(Hook):
    """Adaptive Stochastic Label Perturbation in a training of MMSegmentation.

    It runs one learner, :class:`~mmaslp.core.ASLP`, for all :class:`SCBCELoss` modules
    of the model. Before every iteration it draws which images of the batch get a
    perturbed label. After the iteration it moves their levels. After each validation it
    passes the measured values to the learner. Levels are keyed by ``img_path``. They
    are saved in the checkpoint (in MMEngine's ``MessageHub``). ``resume`` restores
    them, ``load_from`` starts anew.

    Args:
        rule (str | dict | Rule): ``'FB'`` (feedback) moves the levels until the
            network's own confidence on the validation set meets its accuracy; ``'MC'``
            (model calibration) until the expected confidence of the target does;
            ``'ME'`` (maximum entropy) until the accuracy falls below its landmark;
            ``'fixed'`` only draws, with ``alpha`` for every image. A dictionary has the
            name as ``type``, and options. Defaults to 'FB'.
        warmup_epochs (float, optional): Epochs (under iteration loops: visits of each
            image) before the levels begin to move. Defaults to None: 5, with
            ``regions`` a third of the training, with ``rule='fixed'`` 0.
        warmup_iters (float, optional): The warm-up in iterations instead of epochs.
            Defaults to None.
        alpha (float, optional): Level that every image starts with, in [0, 1], with
            alpha * beta < 1. Defaults to None: 0, or with ``rule='fixed'`` the
            ``alpha`` of the loss.
        regions (str, optional): ``'border'`` for levels by region: the level of a pixel
            is that of its band of distance from the label's border, and ``'FB'`` moves
            each band by its own gap. Defaults to None: one level per image.
        accuracy_key (str, optional): Metric that gives the accuracy; values above 1 are
            read as per cent. Defaults to None: the accuracy of ``CalibrationMetric``.
        seed (int, optional): Seed of the draws. Defaults to None: the runner's.
        reseed (bool): Seed torch's generators in every iteration from (seed, iteration,
            rank). So after ``resume`` dropout also continues as in an uninterrupted
            run. Defaults to True.
        log_interval (int): Iterations between two records of the levels in the training
            log. Defaults to 10.
        draw_histogram (bool): Send a histogram of the levels to every visualizer
            backend at each validation, at the step of its scalars. Not with
            ``regions``. Defaults to True.
        export (str, optional): Name of the table of images and levels, lowest level
            first, in the work directory; ends in .csv. The hook writes it when training
            ends, not with ``regions``, whose levels go to the log. Defaults to
            'alpha.csv'; None writes none.
        **rule_options: Options of the rule: ``gain``, ``gap`` and ``solver`` of
            :class:`~mmaslp.core.FB`; ``eta``, ``lam`` and ``solver`` of
            :class:`~mmaslp.core.MC` and :class:`~mmaslp.core.ME`; ``landmark`` of ME.

    Raises:
        ValueError: At once if an argument is out of range. Before the first iteration
            if the model, the data pipeline or the evaluator does not fit the rule.

    Example:
        >>> custom_imports = dict(imports=['mmaslp'])
        >>> custom_hooks = [dict(type='ASLPHook', rule='FB')]

    Source: `Model Calibration in Dense Classification with Adaptive Label Perturbation
    <https://arxiv.org/abs/2307.13539>`_.
    """

    # After the hooks that set up an iteration, and before logger (BELOW_NORMAL) and
    # checkpoint (VERY_LOW), so these see the levels of the same iteration.
    priority = 'NORMAL'
    STATE_KEY = 'aslp'

    def __init__(
        self,
        rule: str | dict | Rule = 'FB',
        warmup_epochs: float | None = None,
        warmup_iters: float | None = None,
        alpha: float | None = None,
        regions: str | None = None,
        accuracy_key: str | None = None,
        seed: int | None = None,
        reseed: bool = True,
        log_interval: int = 10,
        draw_histogram: bool = True,
        export: str | None = 'alpha.csv',
        **rule_options: Any,
    ) -> None:
        self.rule = make_rule(rule, **rule_options)
        self.regions = check_regions(regions, self.rule)
        if warmup_epochs is not None and warmup_iters is not None:
            raise ValueError('give either warmup_epochs or warmup_iters, not both')
        if not self.rule.learns and accuracy_key is not None:
            raise ValueError(
                f'rule={self.rule.name!r} reads no accuracy: leave accuracy_key out'
            )
        if export is not None and not str(export).lower().endswith('.csv'):
            raise ValueError(
                f'export must end in .csv, got {export!r}: it names a table, and no '
                'other file may be replaced by it'
            )
        if warmup_epochs is None:
            warmup_epochs = self.rule.default_warmup(self.regions)
        self.warmup_epochs = optional(
            check_number, 'warmup_epochs', warmup_epochs, at_least=0
        )
        self.warmup_iters = optional(
            check_number, 'warmup_iters', warmup_iters, at_least=0
        )
        self.alpha = None if alpha is None else check_alpha(alpha, 0.0)
        self.accuracy_key = optional(check_text, 'accuracy_key', accuracy_key)
        self.seed = optional(check_integer, 'seed', seed, at_least=0)
        self.reseed = check_bool('reseed', reseed)
        self.log_interval = check_integer('log_interval', log_interval, at_least=1)
        self.draw_histogram = check_bool('draw_histogram', draw_histogram)
        self.export = optional(check_text, 'export', export)
        self.aslp: ASLP | None = None
        self.schedule: Schedule | None = None
        self._keys: dict[str, str] = {}
        self._slot = DrawSlot()
        self._catch_up = False

    def before_train(self, runner: Any) -> None:
        """Check the run, make the learner, restore the state of a resumed run."""
        if self.export is not None:  # now, and not at the end of the training
            check_kind(self._export_path(runner), 'levels', 'export')
        report_findings(check_run(runner, ('train', 'val')))
        dataset = dataset_of(runner.train_loop)
        losses = find_losses(unwrap(runner.model))
        beta = check_losses(losses)
        if self.rule.learns:
            needs_confidence = bool(self.rule.needs)
            self._keys = metric_keys(runner, self.accuracy_key, needs_confidence)
        level, warnings = start_level(
            self.alpha, [loss.alpha for loss in losses], self.rule.learns
        )
        self.aslp = ASLP(
            image_ids(dataset),
            beta,
            self.rule,
            level,
            seed=self._common_seed(runner),
            regions=self.regions,
            logger=MMLogger.get_current_instance(),
        )
        self.schedule = Schedule(
            runner.train_loop,
            len(self.aslp.bank),
            get_world_size(),
            self.warmup_epochs,
            self.warmup_iters,
        )
        self.aslp.warmup = self.schedule.warmup
        if self.rule.learns:
            warnings.append(self.schedule.late_start())
        if self.regions:
            warnings.append(self.schedule.few_steps())
        for warning in filter(None, warnings):
            _log(warning, logging.WARNING)
        self._catch_up = runner.iter > 0
        if self._catch_up:
            self._restore(runner.message_hub.get_info(self.STATE_KEY))
        self._publish_state(runner)
        for loss in losses:
            loss.bind(self._slot)

    def findings(self, runner: Any) -> Iterator[Finding]:
        """Say what in a run does not fit the levels; the doctor asks too.

        Args:
            runner (Runner): With its loops built.

        Yields:
            Finding: What was found.
        """
        model = unwrap(runner.model)
        preprocessor = getattr(model, 'data_preprocessor', None)
        yield from mixed_images(dataset_of(runner.train_loop), preprocessor)
        try:
            check_losses(find_losses(model))
            if self.rule.learns:
                metric_keys(runner, self.accuracy_key, bool(self.rule.needs))
        except ValueError as error:
            yield Finding('error', str(error))

    def before_train_epoch(self, runner: Any) -> None:
        """Run the validation that a resumed run has missed."""
        if not self._catch_up:
            return
        self._catch_up = False
        missing = self.aslp.observed_step != runner.iter
        if self.rule.learns and missing and is_validation_due(runner.train_loop):
            _log(
                f'the checkpoint of iteration {runner.iter} was written before the '
                'validation of that moment: validating now'
            )
            runner.val_loop.run()

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Draw once per image, for all heads."""
        self._slot.draw = self.aslp.draw(batch_ids(data_batch), runner.iter)
        if self.reseed:
            seed_torch(generator_seed(self.aslp.seed, runner.iter, get_rank()))

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Move the levels of the images of the batch."""
        self.aslp.visits = self.schedule.visits
        self.aslp.update(self._slot.take())
        if runner.iter % self.log_interval == 0:
            for name, value in level_scalars(self.aslp).items():
                runner.message_hub.update_scalar(f'train/{name}', value)

    def before_val_epoch(self, runner: Any) -> None:
        """Tell the metrics the step of their pictures."""
        if self.aslp is not None:
            publish_scalar_step(scalar_step(runner))

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Pass the measured values to the learner, and draw the histogram."""
        if self.aslp is None:
            return
        if self.rule.learns:
            self._observe(runner, metrics or {})
        if self.draw_histogram and not self.regions:
            send_levels(self.aslp, scalar_step(runner))

    def after_train(self, runner: Any) -> None:
        """Write the table of images and levels; levels by region go to the log."""
        bank, profile = self.aslp.bank, self.aslp.profile
        if profile is not None:
            _log(f'levels by region, from the border on: {_listed(profile)}')
            self._report_under_confidence()
            return
        if self.export is None or not is_main_process():
            return
        path = self._export_path(runner)
        write_level_table(path, bank.ids, bank.alpha.numpy())
        _log(f'levels of {len(bank)} images written to {path}')

    def _report_under_confidence(self) -> None:
        gaps = self.aslp.under_confident
        if gaps:
            listed = ', '.join(f'{band} ({gap:+.3f})' for band, gap in gaps.items())
            _log(
                f'under-confident bands, 0 at the border (confidence - accuracy): '
                f'{listed}. Levels cannot raise a confidence: fit a temperature, '
                'mmaslp fit-temperature CONFIG CHECKPOINT --regions border'
            )

    def _export_path(self, runner: Any) -> str:
        return osp.join(runner.work_dir, self.export)

    def _common_seed(self, runner: Any) -> int:
        # One seed for all ranks, independent of randomness.diff_rank_seed.
        seed = [int(runner.seed if self.seed is None else self.seed)]
        broadcast_object_list(seed)
        return seed[0]

    def _publish_state(self, runner: Any) -> None:
        """Put the state where every strategy saves it; the levels in it are live."""
        runner.message_hub.update_info(self.STATE_KEY, self.aslp.state_dict())

    def _restore(self, saved: dict | None) -> None:
        if saved is None:
            _log(
                'the checkpoint holds no state of ASLPHook (it was trained without '
                'it): all levels start anew',
                logging.WARNING,
            )
            return
        try:
            found = self.aslp.load_state_dict(saved)
        except ValueError as error:
            raise ValueError(
                f'{error}: resume from another checkpoint, or train on from the '
                'weights of this one with load_from'
            ) from error
        if self.aslp.profile is not None:
            _log(f'resumed the levels by region: {_listed(self.aslp.profile)}')
            return
        mean = self.aslp.alpha.mean().item()
        _log(f'resumed the levels of {found} images, mean {mean:.4f}')

    def _observe(self, runner: Any, metrics: dict) -> None:
        profile = self.aslp.profile
        bands = 0 if profile is None else len(profile)
        measured = read_measured(metrics, self._keys, bands)
        self.aslp.observe(**measured, step=runner.iter)
        self._publish_state(runner)


def _listed(levels: Tensor) -> str:
    return ', '.join(f'{level:.4f}' for level in levels.tolist())


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(f'ASLP: {message}', logger='current', level=level)
