"""Levels by band and a calibrator in a training of Lightning."""

import math
import os
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from ..calibration.calibrator import Calibrator
from ..common.arguments import check_integer, check_text, optional
from ..common.draws import seed_torch
from ..levels.bands import BandLevels
from ..losses.criterion import SelfCalibratingBCE
from ..training.sessions import CalibratorSession, LevelsSession
from .torchmetrics import BinaryBandCalibration

__all__ = ['ASLPCallback']


def validations(trainer: Any) -> int | None:
    """Validations of a training, None if nobody knows."""
    if not trainer.enable_validation:
        return 0
    epoch = trainer.num_training_batches
    interval = trainer.val_check_batch
    epochs = trainer.check_val_every_n_epoch
    per_step = trainer.accumulate_grad_batches
    # An epoch ends with a step.
    batches_per_step = per_step
    if not math.isinf(epoch):
        batches_per_step = epoch / math.ceil(epoch / per_step)
    batches = min(
        _limit(trainer.max_steps, batches_per_step), _limit(trainer.max_epochs, epoch)
    )

    if interval is None or math.isinf(max(batches, interval)):
        return None
    if epochs is None:
        return int(batches // interval)
    whole, rest = divmod(batches, epoch)
    in_last = 0
    if (whole + 1) % epochs == 0:
        in_last = rest // interval
    return int(whole // epochs * max(1, epoch // interval) + in_last)


def _limit(most: int | None, batches: float) -> float:
    """Batches of so many steps or epochs; -1, and None, set no limit."""
    if most is None or most < 0:
        return math.inf
    return most * batches


def _only_network(module: LightningModule) -> nn.Module | None:
    """The child whose weights are those of the whole; of several a user may wrap each.

    So there is none then.
    """
    networks = []
    for child in module.children():
        if list(child.parameters()) or list(child.buffers()):
            networks.append(child)
    if len(networks) != 1:
        return None
    return networks[0]


class ASLPCallback(Callback):
    """Levels by band that adapt the labels of the loss in a training of Lightning.

    After each validation the levels follow what it measured. They are in the
    checkpoint.

    **What the module needs.** A :class:`~mmaslp.losses.SelfCalibratingBCE` that
    ``training_step`` calls, and a :class:`~.torchmetrics.BinaryBandCalibration` that
    ``validation_step`` updates. The callback resets the metric before each validation.

    **A calibrator.** With ``calibrator=True`` every checkpoint also holds a calibrator,
    fitted to the validation of its weights. At the end of the training it is
    :attr:`calibrator`; of a checkpoint it is
    ``Calibrator.from_dict(state['calibrator'])`` with
    ``state = torch.load(path)['callbacks']['ASLPCallback']``. A checkpoint between two
    validations holds None.

    **Resuming.** Torch's generators are seeded by the seed and the number of the batch.
    So a run that is resumed from a checkpoint at the end of an epoch ends bit-equal to
    an uninterrupted one, with Lightning 2.5.3 or later. Exempt are augmentations by the
    generators of numpy or Python in the main process, and workers that persist. A
    second training that resumes from no checkpoint begins with the levels that the
    first one began with.

    **Several processes.** The sums of all processes are added up. Lightning's sampler
    repeats images to fill the last batch of a validation; they count twice there.

    Args:
        levels (str | BandLevels | None): ``'image_band'`` or ``'band'``, levels that
            warm up for a third of the validations; levels of your own; or None for
            plain BCE with the seeds of a training with levels. Defaults to
            'image_band'.
        metric (str, optional): Name of the metric in the module, such as
            ``'val_calibration'``. Defaults to None: the only one of its type.
        seed (int, optional): Seed of torch's generators. Defaults to None: that of
            Lightning's ``seed_everything``, and 0 without one.
        calibrator (bool | Mapping): Whether to fit a calibrator, or options of
            :func:`~mmaslp.calibration.fit_tables`, such as
            ``dict(target='probability')``. Defaults to False.

    Attributes:
        levels (BandLevels | None): The levels.

    Raises:
        ValueError: At once if an argument is out of range. At the beginning of ``fit``
            if the module has no loss or not one metric as above, or if the levels could
            not move before its end.

    Example:
        >>> trainer = Trainer(callbacks=[ASLPCallback()])  # doctest: +SKIP
    """

    def __init__(
        self,
        levels: str | BandLevels | None = 'image_band',
        metric: str | None = None,
        seed: int | None = None,
        calibrator: bool | Mapping[str, Any] = False,
    ) -> None:
        self.session: LevelsSession | None = None
        self.levels: BandLevels | None = None
        if levels is not None:
            self.session = LevelsSession(levels)
            self.levels = self.session.levels
        self.calibrators = CalibratorSession.of(calibrator)
        self.metric = optional(check_text, 'metric', metric)
        self.seed = optional(check_integer, 'seed', seed)
        self._fits = True
        self._measured: BinaryBandCalibration | None = None
        self._first: dict[str, Any] = {}
        self._loader_seeded = False
        self._step = 0

    @property
    def calibrator(self) -> Calibrator | None:
        """Calibrator, optional: Of the weights as they are; None if not validated."""
        if self.calibrators is None:
            return None
        return self.calibrators.fit()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find loss and metric."""
        self._fits = stage == 'fit'
        if not self._fits:
            return
        losses = [m for m in pl_module.modules() if isinstance(m, SelfCalibratingBCE)]
        if not losses:
            raise ValueError(
                f'ASLPCallback found no SelfCalibratingBCE in '
                f'{type(pl_module).__name__}: make one in its __init__ (self.criterion '
                '= mmaslp.SelfCalibratingBCE()) and call it in training_step'
            )

        averages = any(
            isinstance(callback, StochasticWeightAveraging)
            for callback in trainer.callbacks
        )
        if self.calibrators is not None and averages:
            raise ValueError(
                'StochasticWeightAveraging changes the weights after the last '
                'validation, to which a calibrator is fitted: leave calibrator out of '
                'ASLPCallback, and fit one to the finished network (fit_calibrator)'
            )

        for loss in losses:
            loss.bind(self.levels)
        if self.session is not None or self.calibrators is not None:
            self._measured = self._metric_of(pl_module)
        if not trainer.global_step:  # of a Trainer that has not trained yet
            self._first = self._first or self.state_dict()
            self.load_state_dict(self._first)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the order of the first epoch, whose loader Lightning starts early."""
        self._seed(trainer, of_order=True)
        self._loader_seeded = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a training in which the levels cannot move."""
        if self.session is None:
            return
        if trainer.global_step and not self._step:
            raise ValueError(
                'the checkpoint contains no levels of ASLPCallback: train from the '
                'start, or go on from a training with it'
            )
        number = validations(trainer)

        remedy = (
            'give fit() validation images, and the Trainer more max_epochs or a lower '
            'val_check_interval or check_val_every_n_epoch'
        )
        if number is not None:
            # The last validation moves levels in vain.
            plan = self.session.plan(max(0, number - 1))
            if not trainer.fast_dev_run:
                plan.check(remedy, self.session.logger)
        elif self.session.warmup is None:
            raise ValueError(
                'levels warm up for a third of the training, whose length is not '
                f'known: {remedy}, or give BandLevels(warmup=20)'
            )

    def on_train_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Seed the order of the epoch."""
        if not self._loader_seeded:
            self._seed(trainer, of_order=True)
        self._loader_seeded = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed what the batch draws."""
        self._seed(trainer)

    def on_train_batch_end(self, *args: Any) -> None:
        """Count the batches."""
        self._step += 1
        if self.calibrators is not None:
            self.calibrators.train_step()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the level of each band."""
        if self.session is not None:
            pl_module.log_dict(self.session.scalars())

    def on_validation_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Reset the metric, also in a validation after the training."""
        if self._measured is not None:
            self._measured.reset()

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Begin to count for the calibrator, once weights may have been averaged."""
        trains = trainer.state.fn == 'fit' and not trainer.sanity_checking
        if (
            (trains and batch_idx == dataloader_idx == 0)
            and self.calibrators is not None
            and self._measured is not None
        ):
            self.calibrators.start_validation(_only_network(pl_module))
            self._measured.listener = self.calibrators.update

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Move the levels."""
        metric = self._measured
        if metric is None or trainer.state.fn != 'fit' or trainer.sanity_checking:
            return
        metric.listener = None
        if self.session is not None:
            self.session.end_validation(metric.counter())
        if self.calibrators is not None:
            self.calibrators.end_validation()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit the calibrator; say what came of it and of the levels."""
        if self.session is not None:
            self.session.end_training()
            rank_zero_info(f'ASLP: {self.session.summary()}')
        if self.calibrators is not None:
            message = (
                'there is not a calibrator; if no validation follows the last training '
                'batch, choose val_check_interval and max_epochs so that one does'
            )
            if self.calibrator is not None:
                message = self.calibrator.summary()
            rank_zero_info(f'ASLP: {message}')

    def state_dict(self) -> dict[str, Any]:
        """Numbers, texts, lists and dicts: batches so far, levels, the calibrator."""
        state: dict[str, Any] = {'step': self._step}
        if self.session is not None:
            state |= self.session.state_dict()
        if self.calibrators is not None:
            state |= self.calibrators.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the levels of a checkpoint; ValueError if they are damaged."""
        if not self._fits:
            return  # a test reads the weights only
        if self.session is not None:
            self.session.load_state_dict(state_dict)
        if self.calibrators is not None:
            self.calibrators.load_state_dict(state_dict)
        self._step = check_integer('step', state_dict.get('step'), at_least=0)

    def _seed(self, trainer: Trainer, of_order: bool = False) -> None:
        seed = self.seed
        if seed is None:
            seed = int(os.environ.get('PL_GLOBAL_SEED', 0))
        step = self._step
        if of_order:
            step = ~step  # a stream apart from that of the batches
        seed_torch(seed, step, trainer.global_rank)

    def _metric_of(self, pl_module: LightningModule) -> BinaryBandCalibration:
        """The metric of the module that measures what the levels follow."""
        metrics = {}
        for name, module in pl_module.named_modules():
            if isinstance(module, BinaryBandCalibration):
                metrics[name] = module
        name = self.metric or next(iter(metrics), None)
        if name not in metrics or (self.metric is None and len(metrics) > 1):
            raise ValueError(
                'levels follow the BinaryBandCalibration that validation_step updates, '
                f'but {type(pl_module).__name__} has {", ".join(metrics) or "none"}: '
                'make one in its __init__ (self.calibration = BinaryBandCalibration()'
                "), or name one of several (metric='calibration')"
            )
        return metrics[name]
