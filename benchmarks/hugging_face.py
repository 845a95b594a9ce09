"""A Trainer of Hugging Face with and without levels, both with a calibrator.

SegFormer with random weights; ``benchmarks/README.md`` shows the table.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    Trainer,
    TrainingArguments,
    set_seed,
)

from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.integrations.transformers import SelfCalibration, foreground_logits

KEYS = ('ece', 'ece_band', 'nll', 'acc')


class Folder(Dataset):
    """Images and masks of a folder, in memory; mirrored at random in training."""

    def __init__(self, folder: Path, size: int, number: int | None, mirror: bool):
        self.mirror, items = mirror, []
        masks = {file.stem: file for file in (folder / 'masks').iterdir()}
        for file in sorted((folder / 'images').iterdir())[:number]:
            image = Image.open(file).convert('RGB').resize((size, size))
            mask = Image.open(masks[file.stem]).convert('L')
            mask = mask.resize((size, size), Image.Resampling.NEAREST)
            items.append((np.asarray(image, np.float32), np.asarray(mask) > 127))
        images, labels = map(np.stack, zip(*items))
        self.images = torch.from_numpy(images / 64 - 2).permute(0, 3, 1, 2)
        self.labels = torch.from_numpy(labels).long()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image, label = self.images[index], self.labels[index]
        if self.mirror and torch.rand(()) < 0.5:
            image, label = image.flip(-1), label.flip(-1)
        return dict(pixel_values=image, labels=label)


def segformer(seed: int) -> SegformerForSemanticSegmentation:
    set_seed(seed)
    config = SegformerConfig(
        num_labels=2,
        hidden_sizes=[16, 32, 64, 96],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=64,
        drop_path_rate=0.0,
        classifier_dropout_prob=0.0,
    )
    return SegformerForSemanticSegmentation(config)


def train(options: argparse.Namespace, levels: str | None) -> SelfCalibration:
    calibration = SelfCalibration(levels)
    train, val = (
        Folder(options.data / split, options.size, number, split == 'train')
        for split, number in (('train', options.train_images), ('val', None))
    )
    steps = options.epochs * -(-len(train) // 16)
    out = options.out / f'{options.data.name}_{levels}_seed{options.seed}'
    trainer = Trainer(
        segformer(options.seed),
        TrainingArguments(
            str(out),
            num_train_epochs=options.epochs,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=16,
            learning_rate=options.lr,
            eval_strategy='steps',
            eval_steps=max(1, steps // 31),
            save_strategy='no',
            report_to='none',
            seed=options.seed,
            disable_tqdm=True,
        ),
        train_dataset=train,
        eval_dataset=val,
        compute_loss_func=calibration.loss,
        callbacks=[calibration],
    )
    trainer.train(resume_from_checkpoint=None)
    trainer.save_model()
    calibration.model = trainer.model.cpu()
    return calibration


def measure(
    probs: Tensor, labels: Tensor, num_resamples: int = 1000
) -> dict[str, tuple[float, float, float]]:
    """Figures of the test images, each with its interval over images."""
    evaluator = Evaluator()
    for number, (prob, label) in enumerate(zip(probs, labels)):
        evaluator.add(str(number), prob, label)
    result = evaluator.result('', '', resamples=num_resamples)
    rows = {key: (result.metrics[key], *result.intervals[key]) for key in KEYS}
    rows['iou'] = iou(probs > 0.5, labels == 1, num_resamples)
    return rows


def iou(masks: Tensor, labels: Tensor, num_resamples: int) -> tuple[float, ...]:
    """IoU of the foreground of all pixels, and its interval over images."""
    both, either = (
        each.flatten(1).sum(1).double().numpy()
        for each in (masks & labels, masks | labels)
    )
    drawn = np.random.default_rng(0).integers(
        len(both), size=(num_resamples, len(both))
    )
    low, high = np.percentile(both[drawn].sum(1) / either[drawn].sum(1), (2.5, 97.5))
    return both.sum() / either.sum(), low, high


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, size: int) -> Tensor:
    model.eval()
    logits = [
        foreground_logits(model(batch), (size, size)) for batch in images.split(16)
    ]
    return torch.cat(logits).sigmoid()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/hugging_face'))
    parser.add_argument('--train-images', type=int, default=120)
    parser.add_argument('--epochs', type=int, default=60)
    parser.add_argument('--size', type=int, default=96)
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level='WARNING', format='%(message)s')
    test = Folder(options.data / 'test', options.size, None, mirror=False)
    print('| levels | calibrator | ECE | by band | NLL | accuracy | IoU |')
    print('|---|---|---|---|---|---|---|')
    for levels in (None, 'band'):
        calibration = train(options, levels)
        prob = predict(calibration.model, test.images, options.size)
        for name, calibrate in (('none', None), ('yes', calibration.calibrator)):
            found = measure(calibrate(prob) if calibrate else prob, test.labels)
            cells = [
                f'{value:.4f} [{low:.4f}, {high:.4f}]'
                for value, low, high in found.values()
            ]
            print('|', levels, '|', name, '|', ' | '.join(cells), '|', flush=True)
        print(calibration.levels, calibration.calibrator.summary(), sep='\n')


if __name__ == '__main__':
    main()
