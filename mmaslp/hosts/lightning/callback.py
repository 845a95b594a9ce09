"""The callback that runs the learner."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ...core.argument_checks import (
    check_bool,
    check_integer,
    check_number,
    check_text,
    optional,
)
from ...core.aslp import ASLP, DrawSlot, Rule, make_rule
from ...core.aslp.counter_rng import generator_seed, refuse_one_id
from ...core.aslp.perturbation import check_alpha
from ...core.aslp.region_levels import check_regions
from ..mmseg.checks.levels import start_level
from ..mmseg.checks.perturbation import different_strengths
from ..mmseg.losses import SCBCELoss
from ..seeding import seed_torch
from ..torchmetrics import BinaryBandCalibration, BinaryCalibration
from .batches import ids_of_batch, visits_between_validations

__all__ = ['ASLPCallback']

_logger = logging.getLogger('mmaslp')


class ASLPCallback(Callback):
    """Adaptive Stochastic Label Perturbation in a training of Lightning.

    It does for a ``LightningModule`` what ``ASLPHook`` does in
    MMSegmentation. Before every batch it draws which images get a perturbed label, for
    every ``SCBCELoss`` of the module. After the batch it moves
    their levels. After each validation it passes what the module's calibration metric
    has measured to the learner. The levels are in the checkpoint.

    **What the module needs.** A ``SCBCELoss`` that ``training_step`` calls, and, for
    rules that learn, one :class:`~.torchmetrics.BinaryCalibration` (with ``regions``
    one :class:`~.torchmetrics.BinaryBandCalibration`) that ``validation_step``
    updates. The callback resets it before each validation.

    **Resuming.** Draws depend on the seed, the number of the batch and the image. With
    ``reseed`` so do torch's generators, before every batch and before each epoch's
    loader. So a run that is resumed from a checkpoint at the end of an epoch ends
    bit-equal to an uninterrupted one. Exempt are augmentations by the global generators
    of numpy or Python in the main process, and workers that persist.

    **Several processes.** The margins of all processes are joined, and the metric adds
    up their pixels. Lightning's sampler repeats images to fill the last batch of a
    validation; they count twice there.

    Args:
        ids (Iterable[str | int]): One id per training image.
        batch_ids (str | int | Callable): Where a batch holds the ids of its images: a
            key or an index of the batch, or a function of it. Defaults to 'name'.
        rule (str | dict | Rule): See :class:`~mmaslp.core.ASLP`. Defaults to 'FB'.
        warmup_epochs (float, optional): Epochs before the levels begin to move.
            Defaults to None: 5, with ``regions`` a third of ``max_epochs``, with
            ``rule='fixed'`` 0.
        alpha (float, optional): Level that every image starts with, in [0, 1], with
            alpha * beta < 1. Defaults to None: 0, or with ``rule='fixed'`` the
            ``alpha`` of the loss.
        regions (str, optional): ``'border'`` for levels by region. Defaults to None.
        metric (str, optional): Name of the metric in the module, such as
            ``'val_calibration'``. Defaults to None: the only one of its type.
        seed (int): Seed of the draws. Defaults to 0.
        reseed (bool): See above. Defaults to True.
        **rule_options (Any): Options of the rule, such as ``gain``.

    Attributes:
        aslp (ASLP | None): The learner, from the beginning of the first ``fit`` on.

    Raises:
        ValueError: At once if an argument is out of range. At the beginning of ``fit``
            if the module has no loss or not one metric as above. At the first batch if
            it does not hold ids.

    Example:
        >>> callback = ASLPCallback(['a.png', 'b.png'], batch_ids='name', rule='FB')
        >>> trainer = Trainer(callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(
        self,
        ids: Iterable[str | int],
        batch_ids: str | int | Callable[[Any], Any] = 'name',
        rule: str | dict[str, Any] | Rule = 'FB',
        warmup_epochs: float | None = None,
        alpha: float | None = None,
        regions: str | None = None,
        metric: str | None = None,
        seed: int = 0,
        reseed: bool = True,
        **rule_options: Any,
    ) -> None:
        self.rule = make_rule(rule, **rule_options)
        self.regions = check_regions(regions, self.rule)
        if warmup_epochs is None:
            warmup_epochs = self.rule.default_warmup(self.regions)
        refuse_one_id(ids)
        self.ids = [str(each) for each in ids]
        self.batch_ids = batch_ids
        self.warmup_epochs = optional(
            check_number, 'warmup_epochs', warmup_epochs, at_least=0
        )
        self.alpha = None if alpha is None else check_alpha(alpha, 0.0)
        self.metric = optional(check_text, 'metric', metric)
        self.seed = check_integer('seed', seed)
        self.reseed = check_bool('reseed', reseed)
        self.aslp: ASLP | None = None
        self._slot = DrawSlot()
        self._step = 0
        self._loader_seeded = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find loss and metric, make the learner."""
        if stage != 'fit':
            return
        losses = [m for m in pl_module.modules() if isinstance(m, SCBCELoss)]
        if not losses:
            raise ValueError(
                f'ASLPCallback found no SCBCELoss in {type(pl_module).__name__}: make '
                'one in its __init__ (self.criterion = mmaslp.SCBCELoss()) and '
                'call it in training_step'
            )
        finding = different_strengths(loss.perturbation.beta for loss in losses)
        if finding is not None:
            raise finding.exception()
        if self.rule.learns:
            self._measuring(pl_module)
        for loss in losses:
            loss.bind(self._slot)
        if self.aslp is not None:
            return  # a second fit goes on with the levels of the first
        level, warnings = start_level(
            self.alpha,
            [loss.alpha for loss in losses],
            self.rule.learns,
            type(self).__name__,
        )
        for warning in warnings:
            _logger.warning(f'ASLP: {warning}')
        self.aslp = ASLP(
            self.ids,
            losses[0].perturbation.beta,
            self.rule,
            level,
            seed=self.seed,
            regions=self.regions,
        )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the order of the first epoch, whose loader Lightning starts early."""
        self._seed_loader(trainer)
        self._loader_seeded = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the warm-up in batches."""
        batches, epochs = trainer.num_training_batches, self.warmup_epochs
        if epochs is None:
            if not trainer.max_epochs or trainer.max_epochs < 0:
                raise ValueError(
                    'ASLPCallback with regions warms up for a third of the training, '
                    'whose length is not known: give max_epochs to the Trainer, or '
                    'warmup_epochs'
                )
            epochs = trainer.max_epochs / 3
        if epochs and math.isinf(batches):
            raise ValueError(
                'ASLPCallback cannot count epochs of a training loader without a '
                'length: give warmup_epochs=0, or limit_train_batches to the Trainer'
            )
        self._learner.warmup = epochs * batches if epochs else 0
        self._learner.visits = visits_between_validations(trainer)

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
        self._slot.draw = self._learner.draw(
            ids_of_batch(batch, self.batch_ids), self._step
        )
        if self.reseed:
            seed_torch(
                generator_seed(self._learner.seed, self._step, trainer.global_rank)
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the levels of the images of the batch."""
        draw = self._slot.take()
        assert draw is not None
        self._learner.update(draw)
        self._step += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the mean level, or that of each band."""
        profile = self._learner.profile
        if profile is None:
            pl_module.log('aslp/alpha', self._learner.alpha.mean().float())
            return
        for band, level in enumerate(profile.float()):
            pl_module.log(f'aslp/alpha_region{band}', level)

    def on_validation_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Reset the metric."""
        if self.rule.learns and trainer.state.fn == 'fit':
            self._measuring(pl_module).reset()

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Pass the measured values to the learner."""
        fits = trainer.state.fn == 'fit' and not trainer.sanity_checking
        if not (self.rule.learns and fits):
            return
        metric = self._measuring(pl_module)
        if not metric.update_called:
            raise ValueError(
                f'ASLPCallback reads a {type(metric).__name__} after each validation, '
                'but this validation has not updated it: call its update(probability, '
                'target) in validation_step, and leave the reset to the callback'
            )
        self._learner.observe(**metric.measured(), step=self._step)

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors, numbers and strings.

        Returns:
            dict: ``step``, the number of batches so far, and ``aslp``, the state of the
            learner; empty before the first ``fit``.
        """
        if self.aslp is None:
            return {}
        return dict(step=self._step, aslp=self.aslp.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the levels of a checkpoint.

        Args:
            state_dict (dict): What :meth:`state_dict` returned.

        Raises:
            ValueError: If the state is damaged.
        """
        if self.aslp is None or not state_dict:
            return  # a test reads the weights only
        self.aslp.load_state_dict(state_dict['aslp'])
        self._step = int(state_dict['step'])

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Warn if the checkpoint holds no levels."""
        if self.aslp is not None and self.state_key not in checkpoint['callbacks']:
            _logger.warning(
                'ASLP: the checkpoint holds no state of ASLPCallback (it was trained '
                'without it): all levels start anew'
            )

    @property
    def _learner(self) -> ASLP:
        assert self.aslp is not None, 'setup() makes the learner'
        return self.aslp

    def _seed_loader(self, trainer: Trainer) -> None:
        if self.reseed:
            # Negative: a stream apart from that of the batches.
            seed = generator_seed(
                self._learner.seed, -1 - self._step, trainer.global_rank
            )
            seed_torch(seed)

    def _measuring(
        self, pl_module: LightningModule
    ) -> BinaryCalibration | BinaryBandCalibration:
        """The metric of the module that measures what the learner observes."""
        kind = BinaryBandCalibration if self.regions else BinaryCalibration
        found = {n: m for n, m in pl_module.named_modules() if isinstance(m, kind)}
        name = self.metric
        if name is None and len(found) == 1:
            (name,) = found
        if name not in found:
            raise ValueError(
                f'ASLPCallback(rule={self.rule.name!r}, regions={self.regions!r}) '
                f'reads the {kind.__name__} that validation_step updates, but '
                f'{type(pl_module).__name__} has {", ".join(found) or "none"}: make '
                f'one in its __init__ (self.calibration = {kind.__name__}()), or name '
                "one of several (metric='calibration')"
            )
        return found[name]
