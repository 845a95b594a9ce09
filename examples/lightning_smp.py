"""Train a network of segmentation_models.pytorch with levels by band in Lightning.

It needs lightning and segmentation-models-pytorch:

    python examples/lightning_smp.py                 # nuclei
    python examples/lightning_smp.py --data FOLDER   # {train,val,test}/{images,masks}
"""

import argparse

import segmentation_models_pytorch as smp
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from pairs import load_splits
from torch.utils.data import DataLoader
from torchmetrics import MetricCollection

from mmaslp import SelfCalibratingBCE
from mmaslp.integrations.lightning import ASLPCallback
from mmaslp.integrations.torchmetrics import BinaryBandCalibration, BinaryCalibration
from mmaslp.report.tables import format_table

COLUMNS = {
    'ece': 'ECE',
    'ece_band': 'ECE by band',
    'oe': 'OE',
    'acc': 'accuracy',
    'nll': 'NLL',
}


class Segmenter(LightningModule):
    """What levels need: the lines with ``criterion`` and ``calibration``."""

    def __init__(self):
        super().__init__()
        self.network = smp.Unet(
            'resnet18',
            encoder_depth=4,
            encoder_weights=None,
            decoder_channels=(64, 32, 16, 16),
        )
        self.criterion = SelfCalibratingBCE()
        self.calibration = MetricCollection(
            [BinaryCalibration(), BinaryBandCalibration()]
        )

    def training_step(self, batch, batch_idx):
        return self.criterion(self.network(batch['image']), batch['mask'])

    def validation_step(self, batch, batch_idx):
        self.calibration.update(self.network(batch['image']).sigmoid(), batch['mask'])

    def on_validation_epoch_end(self):
        self.log_dict(self.calibration.compute())
        self.calibration.reset()

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), 1e-3)
        epochs = self.trainer.max_epochs
        return [optimizer], [torch.optim.lr_scheduler.PolynomialLR(optimizer, epochs)]


def train(name, by_band, data, args):
    """Train one network; return its figures on the test split."""
    seed_everything(0)
    model = Segmenter()
    callbacks = [ModelCheckpoint(f'{args.work_dir}/{name}', save_last=True)]
    if by_band:
        callbacks.append(ASLPCallback())
    trainer = Trainer(
        max_epochs=args.epochs,
        callbacks=callbacks,
        accelerator='cpu',
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        model,
        DataLoader(data['train'], 4, shuffle=True),
        DataLoader(data['val'], 20),
        ckpt_path='last' if args.resume else None,
    )
    (figures,) = trainer.validate(model, DataLoader(data['test'], 20), verbose=False)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--data', help='a folder; left out: the nuclei of the package')
    parser.add_argument('--epochs', type=int, default=30)
    parser.add_argument('--size', type=int, default=64, help='a multiple of 16')
    parser.add_argument('--work-dir', default='work_dirs/lightning_smp')
    parser.add_argument('--resume', action='store_true', help='go on')
    args = parser.parse_args()
    data = load_splits(args.data, args.size)
    rows = {}
    # Without the callback, SelfCalibratingBCE is binary cross entropy.
    for name, by_band in {'BCE': False, 'levels by band': True}.items():
        figures = train(name, by_band, data, args)
        rows[name] = {label: figures[key] for key, label in COLUMNS.items()}
    print(format_table(rows, list(COLUMNS.values())))


if __name__ == '__main__':
    main()
