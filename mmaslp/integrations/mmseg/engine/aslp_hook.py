"""Levels by band, or by image as in the paper, in a training of MMSegmentation."""

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmseg.registry import HOOKS

from ....common.arguments import check_choice, check_integer, check_number, optional
from ....common.draws import seed_torch
from ....common.processes import gathered
from ..checks.findings import Finding
from ..checks.run import check_once, find_losses
from ..data import dataset_of, image_ids, leaf_sets
from ..saving import save_safely
from .schedule import Schedule
from .trainings import KINDS, make_training


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
        self._iters = 0  # that the levels have taken part in

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
            self._restore(runner.message_hub.get_info(self.STATE_KEY), runner.iter)
        self._iters = runner.iter
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
        self._iters = runner.iter + 1
        self._publish_state(runner)
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
                iters=self._iters,
                levels=self.training.state(),
            ),
        )

    def _restore(self, saved: dict | None, iteration: int) -> None:
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
            iters = int(saved.get('iters', iteration))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'ASLPHook cannot go on: {error}; resume from another checkpoint, or '
                'train on from the weights of this one with load_from'
            ) from error

        print_log(f'ASLP: resumed {self.training.summary()}', 'current')
        if iters != iteration:
            print_log(
                f'the levels are those of iteration {iters}: from there to iteration '
                f'{iteration} the training went on without ASLPHook',
                'current',
                logging.WARNING,
            )
