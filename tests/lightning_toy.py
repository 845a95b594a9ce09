"""What the tests of the callback train: squares of 16 px and a tiny network."""

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmaslp.integrations.torchmetrics import BinaryBandCalibration
from mmaslp.losses import SelfCalibratingBCE


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

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        # Noise of torch's generator, as augmentations draw it.
        image = self.images[index] + self.noise * torch.randn(3, 16, 16)
        return dict(image=image, mask=self.masks[index])


class Segmenter(LightningModule):
    def __init__(self, lr=1e-2):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv2d(4, 1, 3, padding=1),
        )
        self.criterion = SelfCalibratingBCE()
        self.calibration = BinaryBandCalibration()
        self.lr = lr

    def forward(self, image):
        """It finds the squares from the start, and is too sure of them."""
        return 8 * (image.mean(1, keepdim=True) - 0.5) + self.network(image)

    def training_step(self, batch, batch_idx):
        return self.criterion(self(batch['image']), batch['mask'])

    def validation_step(self, batch, batch_idx):
        self.calibration.update(self(batch['image']).sigmoid(), batch['mask'])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def loaders(val):
    return DataLoader(Squares(), 2, shuffle=True), DataLoader(val, 2)


def train(folder, epochs, callback, checkpoint=None, model=None, data=None, **options):
    model = model or Segmenter()
    keep = ModelCheckpoint(folder, filename='{epoch}', save_top_k=-1)
    trainer = Trainer(
        **{
            'max_epochs': epochs,
            'accelerator': 'cpu',
            'devices': 1,
            'callbacks': [callback, keep],
            'logger': False,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'default_root_dir': folder,
            **options,
        }
    )
    data = data or loaders(Squares(4, seed=1))
    trainer.fit(model, *data, ckpt_path=checkpoint)
    return model
