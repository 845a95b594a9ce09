"""Short trainings for ``benchmarks/nnunet.py``, on one thread of a CPU."""

import random

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from mmaslp.integrations.nnunet.trainers.band_levels import (
    nnUNetTrainerBandLevels,
)


class Short:
    """40 epochs of 25 batches, each seeded so that a resumed run sees the same."""

    epochs = 40

    def initialize(self) -> None:
        """Shorten the training before nnU-Net reads its length."""
        torch.set_num_threads(1)
        self.num_epochs = self.epochs
        self.num_iterations_per_epoch = 25
        self.num_val_iterations_per_epoch = 10
        self.save_every = 5
        self.initial_lr = 0.02
        self.logger.plot_progress_png = lambda folder: None  # 3 s an epoch
        torch.manual_seed(0)
        super().initialize()

    def on_train_epoch_start(self) -> None:
        """Seed the batches of the epoch."""
        super().on_train_epoch_start()
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(self.current_epoch)


class ShortDefault(Short, nnUNetTrainer):
    """nnU-Net's Dice + CE."""


class ShortBandLevels(Short, nnUNetTrainerBandLevels):
    """Dice + SC-BCE with levels by band."""


class ShortBandLevelsNoDice(ShortBandLevels):
    """SC-BCE with levels by band."""

    with_dice = False


class ShortestBandLevels(ShortBandLevels):
    """For a run that is killed, and one that is not."""

    epochs = 12
