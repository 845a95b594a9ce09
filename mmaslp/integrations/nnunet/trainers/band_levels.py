"""Trainers for ``nnUNetv2_train -tr``, found through ``nnUNet_extTrainer``."""

import os
from contextlib import suppress
from typing import Any

import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
    NonDetMultiThreadedAugmenter,
)
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor

from mmaslp import BandLevels, ImageBandLevels, SelfCalibratingBCE
from mmaslp.common.arguments import check_number
from mmaslp.common.replacing import replaced
from mmaslp.integrations.nnunet.loss import (
    DeepSupervision,
    FixedPatches,
    SelfCalibratingLoss,
    Targets,
)
from mmaslp.training.sessions import WARMUP, LevelsSession

STATE = 'mmaslp_band_levels'


class nnUNetTrainerBandLevels(nnUNetTrainer):
    """Dice + SC-BCE with a label smoothing for each band of distance from the border.

    The validation of every epoch measures the gap of each band, confidence minus
    accuracy, and moves the levels. Its patches are drawn once, so that the gaps and
    nnU-Net's pseudo Dice of two epochs compare. The levels are in the checkpoints.
    ``mmaslp fit`` takes the maps of the validation cases that ``--npz`` leaves.

    Subclass it to change what follows; ``__init__`` must repeat its arguments, as
    nnU-Net demands of every trainer.

    Attributes:
        levels_type (type): Defaults to :class:`~mmaslp.BandLevels`.
        gain (float): See :class:`~mmaslp.BandLevels`. Defaults to 1.
        warmup (float): Share of the epochs before the levels move. Defaults to 1/3.
        with_dice (bool): Whether the Dice loss stands beside SC-BCE. Defaults to True.
    """

    levels_type: type[BandLevels] = BandLevels
    gain = 1.0
    warmup = 1 / WARMUP
    with_dice = True

    def initialize(self) -> None:
        """Make the levels before the loss that reads them."""
        self.session = LevelsSession(self.levels_type(gain=self.gain))
        self.levels = self.session.levels
        # The validation of the last epoch moves levels in vain.
        validations = self.num_epochs - 1
        warmup = check_number('warmup', self.warmup, at_least=0, below=1)
        plan = self.session.plan(validations, int(warmup * validations))
        plan.check('train for more epochs', self.session.logger)
        super().initialize()

    def _build_loss(self):
        """Replace nnU-Net's cross entropy; keep its Dice and its deep supervision."""
        manager = self.label_manager
        if not manager.has_regions and manager.num_segmentation_heads != 2:
            raise ValueError(
                f'{type(self).__name__} trains one foreground label, or regions, but '
                f'dataset.json has {manager.num_segmentation_heads - 1} labels: write '
                "them as regions, e.g. 'tumour': [1, 2], with 'regions_class_order'"
            )

        self.targets = Targets(manager.has_regions, manager.ignore_label)
        theirs = super()._build_loss()
        if not isinstance(theirs, DeepSupervisionWrapper):
            return self._loss_of_scale(theirs)
        return DeepSupervision(
            self._loss_of_scale(theirs.loss), theirs.weight_factors, self.levels
        )

    def _loss_of_scale(self, theirs: Any) -> SelfCalibratingLoss:
        """Put our criterion in the place of nnU-Net's cross entropy at one scale."""
        criterion = SelfCalibratingBCE(self.levels, channels='independent')
        dice = None
        if self.with_dice:
            dice = theirs.dc
        return SelfCalibratingLoss(criterion, self.targets, dice)

    def get_dataloaders(self):
        """Let every validation see the same patches."""
        train, val = super().get_dataloaders()
        batches = self.num_val_iterations_per_epoch
        if isinstance(val, NonDetMultiThreadedAugmenter):
            val._finish()
            val.num_processes = 1  # several would mix up the order
            val.generator = FixedPatches(val.generator, batches, self.local_rank)
        else:
            val.data_loader = FixedPatches(val.data_loader, batches, self.local_rank)
        return train, val

    def on_train_epoch_start(self) -> None:
        """Smooth labels."""
        super().on_train_epoch_start()
        self.loss.train()

    def on_validation_epoch_start(self) -> None:
        """Start the table of the epoch; its loss is BCE, which teaches no errors."""
        super().on_validation_epoch_start()
        self.loss.eval()
        self.session.start_validation()

    def validation_step(self, batch: dict) -> dict:
        """Fill the table with what nnU-Net hands to its loss."""
        loss = self.loss

        def measured_loss(output, target):
            if self.enable_deep_supervision:
                self._measure(output[0], target[0])
            else:
                self._measure(output, target)
            return loss(output, target)

        with replaced(self, 'loss', measured_loss):
            return super().validation_step(batch)

    def _measure(self, output: Tensor, target: Tensor) -> None:
        """Count the pixels of the finest scale."""
        logits, labels = self.targets.binary(output, target)
        self.session.update(logits.float(), labels, logits=True)

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """Move the levels."""
        super().on_validation_epoch_end(val_outputs)
        self.session.end_validation()
        self.print_to_log_file(self.levels.reason or self.session.summary())

    def save_checkpoint(self, filename: str) -> None:
        """Add the levels to nnU-Net's checkpoint, which appears when it is whole."""
        if self.local_rank or self.disable_checkpointing:
            return
        part = f'{filename}.part'
        try:
            super().save_checkpoint(part)
            checkpoint = torch.load(part, map_location='cpu', weights_only=False)
            checkpoint[STATE] = self.session.state_dict()
            # The network is that of a trainer of nnU-Net, which predicts without
            # mmaslp.
            checkpoint['trainer_name'] = self._trainer_of_network()
            torch.save(checkpoint, part)
            os.replace(part, filename)
        except (OSError, RuntimeError) as error:
            # torch does not name the file.
            reason = ' '.join(str(error).split())
            raise OSError(
                f'{filename} cannot be written; an earlier one stays. Is the disk '
                f'full? ({reason})'
            ) from error
        finally:
            with suppress(OSError):
                os.remove(part)

    def _trainer_of_network(self) -> str:
        """Name of the class that builds the network."""
        for trainer in type(self).__mro__:
            if 'build_network_architecture' in vars(trainer):
                return trainer.__name__
        raise AssertionError('nnUNetTrainer builds the network')

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Go on with the levels of the checkpoint."""
        super().load_checkpoint(filename_or_checkpoint)
        checkpoint = torch.load(
            filename_or_checkpoint, map_location='cpu', weights_only=False
        )
        self.session.load_state_dict(checkpoint.get(STATE, {}))


class nnUNetTrainerImageBandLevels(nnUNetTrainerBandLevels):
    """The same with a label smoothing for each band and patch.

    A patch that the network does not fit is smoothed more. Its weight, see
    :class:`~mmaslp.ImageBandLevels`, follows its error in the step itself, at the
    finest scale of the deep supervision.
    """

    levels_type = ImageBandLevels
