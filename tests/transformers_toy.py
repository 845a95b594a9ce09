"""What the tests of ``SelfCalibration`` train: squares of 32 px, a tiny SegFormer.

As a script it is one of several processes: ``transformers_toy.py FOLDER``.
"""

import sys
from pathlib import Path

import torch
from torch.utils.data import Dataset
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    Trainer,
    TrainingArguments,
    set_seed,
)

from mmaslp import BandLevels
from mmaslp.integrations.transformers import SelfCalibration


class Squares(Dataset):
    """Images that show a square, whose label is ``value`` and ``shift`` px aside."""

    def __init__(self, number, seed=0, value=1, shift=0):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.zeros(number, 32, 32, dtype=torch.long)
        for label in self.labels:
            top, left = torch.randint(0, 16, (2,), generator=generator).tolist()
            label[top : top + 16, left : left + 16] = 1
        grain = torch.randn(number, 3, 32, 32, generator=generator)
        self.images = 4.0 * self.labels[:, None] - 1.0 + 0.3 * grain
        self.labels = value * self.labels.roll(shift, -1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return dict(pixel_values=self.images[index], labels=self.labels[index])


def segformer(num_labels=2):
    set_seed(0)
    config = SegformerConfig(
        num_labels=num_labels,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8,
    )
    return SegformerForSemanticSegmentation(config)


def arguments(folder, **options):
    """36 steps, an evaluation after each second one."""
    given = dict(
        output_dir=str(folder),
        num_train_epochs=6,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=4,
        learning_rate=3e-2,
        lr_scheduler_type='constant',
        eval_strategy='steps',
        eval_steps=2,
        save_strategy='no',
        report_to='none',
        disable_tqdm=True,
        use_cpu=True,
    )
    return TrainingArguments(**{**given, **options})


def trainer(folder, calibration, train=None, val=None, model=None, **options):
    return Trainer(
        model or segformer(),
        arguments(folder, **options),
        train_dataset=train or Squares(12),
        eval_dataset=val or Squares(11, seed=1, shift=4),
        compute_loss_func=calibration.loss,
        callbacks=[calibration],
    )


def main(folder):
    calibration = SelfCalibration(BandLevels())
    one = trainer(folder, calibration, num_train_epochs=12)
    one.train()
    weights = torch.cat([each.flatten() for each in one.model.parameters()])
    found = dict(
        weights=weights.detach(),
        levels=calibration.levels.levels,
        untrained=trainer(folder, SelfCalibration(levels=None)).evaluate(),
        images=calibration.calibrator.record['images'],
    )
    torch.save(found, folder / f'rank{one.args.process_index}.pt')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
