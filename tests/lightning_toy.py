"""What the tests of the callback train: squares of 16 px and a tiny network."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmaslp.core import ImageLevels, SelfCalibratingBCE
from mmaslp.hosts.lightning import ASLPCallback
from mmaslp.hosts.torchmetrics import BinaryBandCalibration, BinaryCalibration


class Squares(Dataset):
    def __init__(self, number=8, seed=0, noise=0.1):
        generator = torch.Generator().manual_seed(seed)
        self.masks = torch.zeros(number, 1, 16, 16)
        for mask in self.masks:
            top, left = torch.randint(0, 8, (2,), generator=generator).tolist()
            mask[:, top : top + 8, left : left + 8] = 1
        grain = torch.randn(number, 3, 16, 16, generator=generator)
        self.images = self.masks + 0.7 * grain
        self.noise = noise
        self.names = [f'{number:02d}.png' for number in range(number)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        # Noise of torch's generator, as augmentations draw it.
        image = self.images[index] + self.noise * torch.randn(3, 16, 16)
        return dict(image=image, mask=self.masks[index], name=self.names[index])


class Segmenter(LightningModule):
    def __init__(self, dropout=0.2, by_band=False):
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(4, 1, 3, padding=1),
        )
        self.criterion = SelfCalibratingBCE()
        self.calibration = BinaryBandCalibration() if by_band else BinaryCalibration()
        self.drawn = []

    def training_step(self, batch, batch_idx):
        sample = self.criterion.sample
        if sample is not None:
            self.drawn.append((batch['name'], sample.perturbed.tolist()))
        return self.criterion(self.network(batch['image']), batch['mask'])

    def validation_step(self, batch, batch_idx):
        prob = self.network(batch['image']).sigmoid()
        self.calibration.update(prob, batch['mask'])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def make_callback(rule='MC', **options):
    levels = ImageLevels(Squares().names, rule=rule, alpha=0.2, warmup=4)
    return ASLPCallback(levels, **options)


def loaders(batch_size=2, shuffle=True):
    train = DataLoader(Squares(), batch_size, shuffle=shuffle)
    return train, DataLoader(Squares(4, seed=1), 1)


def make_trainer(folder, epochs, *callbacks, **options):
    keep = ModelCheckpoint(folder, filename='{epoch}', save_top_k=-1)
    return Trainer(
        **{
            'max_epochs': epochs,
            'accelerator': 'cpu',
            'devices': 1,
            'callbacks': [*callbacks, keep],
            'logger': False,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'default_root_dir': folder,
            **options,
        }
    )


def train(folder, epochs, checkpoint=None, model=None, callback=None, **options):
    torch.manual_seed(0)
    model, callback = model or Segmenter(), callback or make_callback()
    trainer = make_trainer(folder, epochs, callback, **options)
    trainer.fit(model, *loaders(), ckpt_path=checkpoint)
    return model, callback
