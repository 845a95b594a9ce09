"""The callback that moves the levels."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ...core.argument_checks import check_bool, check_integer, check_text, optional
from ...core.calibrators import Calibrator
from ...core.levels import BorderLevels, ImageLevels, SelfCalibratingBCE
from ...core.levels.counter_rng import generator_seed
from ..seeding import seed_torch
from ..torchmetrics import BinaryBandCalibration, BinaryCalibration
from .batches import ids_of_batch
from .calibration import ValidationCalibrator, to_plain
from .schedule import training_steps, validations, visits_between_validations

__all__ = ['ASLPCallback']

_logger = logging.getLogger('mmaslp')
# Validations after the warm-up: with fewer, levels by band get nowhere.
LEAST = 5


class ASLPCallback(Callback):
    """Levels that adapt the labels of the loss in a training of Lightning.

    With :class:`~mmaslp.core.BorderLevels`, the default, it moves them after each
    validation. With :class:`~mmaslp.core.ImageLevels`, the paper, it also draws before
    every batch which images get a perturbed label, and moves their levels after it. The
    levels are in the checkpoint.

    **What the module needs.** A :class:`~mmaslp.core.SelfCalibratingBCE` that
    ``training_step`` calls, and a metric that ``validation_step`` updates: a
    :class:`~.torchmetrics.BinaryBandCalibration`, for levels by image a
    :class:`~.torchmetrics.BinaryCalibration`. The callback resets the metric before
    each validation.

    **A calibrator.** With ``calibrator=True`` every checkpoint also holds a calibrator,
    fitted to the validation of its weights. At the end of the training it is
    :attr:`calibrator`; of a checkpoint it is
    ``Calibrator(**torch.load(path)['callbacks']['ASLPCallback']['calibrator'])``. A
    checkpoint between two validations holds None.

    **Resuming.** With ``reseed``, torch's generators depend on the seed and the number
    of the batch, before every batch and before each epoch's loader. So a run that is
    resumed from a checkpoint at the end of an epoch ends bit-equal to an uninterrupted
    one. Exempt are augmentations by the generators of numpy or Python in the main
    process, and workers that persist.

    **Several processes.** The sums of all processes are added up. Lightning's sampler
    repeats images to fill the last batch of a validation; they count twice there.

    Args:
        levels (BorderLevels | ImageLevels, optional): Defaults to None: BorderLevels
            whose warm-up is a third of the validations.
        batch_ids (str | int | Callable): For :class:`~mmaslp.core.ImageLevels`: where a
            batch holds the ids of its images, a key or an index of the batch, or a
            function of it. Defaults to 'name'.
        metric (str, optional): Name of the metric in the module, such as
            ``'val_calibration'``. Defaults to None: the only one of its type.
        seed (int): Seed of torch's generators. Defaults to 0.
        reseed (bool): See above. Defaults to True.
        calibrator (bool | Mapping): Whether to fit a calibrator, see above; or options
            of :func:`~mmaslp.core.calibrators.fit_tables`, such as
            ``dict(target='probability')``. Defaults to False.

    Attributes:
        levels (BorderLevels | ImageLevels): The levels.

    Raises:
        ValueError: At once if an argument is out of range. At the beginning of ``fit``
            if the module has no loss or not one metric as above, or if the levels could
            not move before its end. At the first batch if it does not hold ids.

    Example:
        >>> trainer = Trainer(callbacks=[ASLPCallback()])  # doctest: +SKIP
    """

    def __init__(
        self,
        levels: BorderLevels | ImageLevels | None = None,
        batch_ids: str | int | Callable[[Any], Any] = 'name',
        metric: str | None = None,
        seed: int = 0,
        reseed: bool = True,
        calibrator: bool | Mapping[str, Any] = False,
    ) -> None:
        if not isinstance(levels, (BorderLevels, ImageLevels, type(None))):
            raise ValueError(
                f'levels must be BorderLevels or ImageLevels, got {levels!r}'
            )
        self._third = levels is None
        self.levels = BorderLevels() if levels is None else levels
        self.batch_ids = batch_ids
        self.metric = optional(check_text, 'metric', metric)
        self.seed = check_integer('seed', seed)
        self.reseed = check_bool('reseed', reseed)
        self._calibrator: ValidationCalibrator | None = None
        if calibrator is not False:
            options = {} if calibrator is True else calibrator
            self._calibrator = ValidationCalibrator(options)
        self._losses: list[SelfCalibratingBCE] = []
        self._step = 0
        self._loader_seeded = False

    @property
    def by_image(self) -> bool:
        """bool: Whether every image has a level."""
        return isinstance(self.levels, ImageLevels)

    @property
    def learns(self) -> bool:
        """bool: Whether the levels move at all."""
        return not self.by_image or self.levels.rule.learns

    @property
    def calibrator(self) -> Calibrator | None:
        """Calibrator, optional: Of the weights as they are; None if not validated."""
        return self._calibrator and self._calibrator.fitted(self._step)

    @property
    def measures(self) -> bool:
        """bool: Whether it reads a metric of the module."""
        return self.learns or self._calibrator is not None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find loss and metric."""
        if stage != 'fit':
            return
        modules = pl_module.modules()
        self._losses = [m for m in modules if isinstance(m, SelfCalibratingBCE)]
        if not self._losses:
            raise ValueError(
                f'ASLPCallback found no SelfCalibratingBCE in '
                f'{type(pl_module).__name__}: make one in its __init__ (self.criterion '
                '= mmaslp.SelfCalibratingBCE()) and call it in training_step'
            )
        if self.measures:
            self._measuring(pl_module)
        if not self.by_image:
            for loss in self._losses:
                loss.bind(self.levels)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the order of the first epoch, whose loader Lightning starts early."""
        self._seed_loader(trainer)
        self._loader_seeded = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a training in which the levels cannot move."""
        if self.learns:
            self._check_schedule(trainer)
        if self.by_image:
            self.levels.visits = visits_between_validations(trainer)

    def on_train_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Seed the order of the epoch."""
        if not self._loader_seeded:
            self._seed_loader(trainer)
        self._loader_seeded = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Draw once per image, for all losses."""
        if self.by_image:
            names = ids_of_batch(batch, self.batch_ids)
            self._leave(self.levels.sample(names, self._step))
        if self.reseed:
            seed_torch(generator_seed(self.seed, self._step, trainer.global_rank))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the levels of the images of the batch."""
        if self.by_image:
            sample = self._losses[0].sample
            self._leave(None)
            self.levels.update(sample)
        self._step += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the mean level, or that of each band."""
        if self.by_image:
            pl_module.log('aslp/alpha', self.levels.alpha.mean().float())
            return
        for band, level in enumerate(self.levels.levels.float()):
            pl_module.log(f'aslp/level_band{band}', level)

    def on_validation_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Reset the metric."""
        if not self.measures or trainer.state.fn != 'fit':
            return
        metric = self._measuring(pl_module)
        metric.reset()
        if self._calibrator is not None and not trainer.sanity_checking:
            self._calibrator.listen(trainer, metric)

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Move the levels, or tell them what was measured."""
        fits = trainer.state.fn == 'fit' and not trainer.sanity_checking
        if not (self.measures and fits):
            return
        metric = self._measuring(pl_module)
        if not metric.update_called:
            raise ValueError(
                f'ASLPCallback reads a {type(metric).__name__} after each validation, '
                'but this validation has not updated it: call its update(probability, '
                'target) in validation_step, and leave the reset to the callback'
            )
        if self._calibrator is not None:
            metric.listener = None
            self._calibrator.stop(self._step)
        if self.by_image and self.learns:
            self.levels.observe(**metric.measured())
        elif not self.by_image:
            self.levels.observe(metric.table)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit the calibrator; say why levels are still 0."""
        if self.calibrator is not None:
            _logger.info(self.calibrator.summary())
        if not self.by_image and self.levels.reason is not None:
            _logger.warning(self.levels.reason)

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings: batches so far, levels, the calibrator."""
        return dict(
            step=self._step,
            levels=self.levels.state_dict(),
            calibrator=to_plain(self.calibrator),
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the levels of a checkpoint.

        Args:
            state_dict (dict): What :meth:`state_dict` returned.

        Raises:
            ValueError: If the state is damaged or of another version.
        """
        if not self._losses:
            return  # a test reads the weights only
        if 'levels' not in state_dict:
            raise ValueError(
                'the checkpoint holds levels of mmaslp 0.2: train on from its weights'
            )
        self.levels.load_state_dict(state_dict['levels'])
        self._step = int(state_dict['step'])
        if self._calibrator is not None:
            self._calibrator.restore(state_dict.get('calibrator'), self._step)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Warn if the checkpoint holds no levels."""
        if self._losses and self.state_key not in checkpoint['callbacks']:
            _logger.warning(
                'ASLP: the checkpoint holds no state of ASLPCallback (it was trained '
                'without it): all levels start anew'
            )

    def _check_schedule(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:
            return
        number = validations(trainer)
        if number == 0:
            raise ValueError(
                'ASLPCallback moves levels after validations, and this training has '
                'none: give fit() a loader of validation images'
            )
        if self.by_image:
            steps = training_steps(trainer)
            if steps is not None and self.levels.warmup >= steps:
                raise ValueError(
                    f'the levels cannot move: their warm-up lasts '
                    f'{self.levels.warmup:g} batches, the training {steps}'
                )
            return
        if self._third and number is None:
            raise ValueError(
                'ASLPCallback warms up for a third of the training, whose length is '
                'not known: give max_epochs to the Trainer, or BorderLevels(warmup=20)'
            )
        if self._third:
            self.levels.warmup = number // 3
        if number is not None and number - self.levels.warmup <= LEAST:
            raise ValueError(
                f'levels by band need more than {LEAST} validations after the warm-up '
                f'to arrive, but of the {number} of this training '
                f'{self.levels.warmup} are warm-up: give the Trainer a lower '
                'val_check_interval or more max_epochs'
            )

    def _leave(self, sample: Any) -> None:
        for loss in self._losses:
            loss.sample = sample

    def _seed_loader(self, trainer: Trainer) -> None:
        if self.reseed:
            # Negative: a stream apart from that of the batches.
            seed_torch(generator_seed(self.seed, -1 - self._step, trainer.global_rank))

    def _measuring(
        self, pl_module: LightningModule
    ) -> BinaryCalibration | BinaryBandCalibration:
        """The metric of the module that measures what the levels follow."""
        kind = BinaryCalibration if self.by_image else BinaryBandCalibration
        found = {n: m for n, m in pl_module.named_modules() if isinstance(m, kind)}
        name = self.metric
        if name is None and len(found) == 1:
            (name,) = found
        if name not in found:
            raise ValueError(
                f'{type(self.levels).__name__} follow the {kind.__name__} that '
                f'validation_step updates, but {type(pl_module).__name__} has '
                f'{", ".join(found) or "none"}: make one in its __init__ '
                f'(self.calibration = {kind.__name__}()), or name one of several '
                "(metric='calibration')"
            )
        return found[name]
