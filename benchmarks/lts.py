"""Local temperature scaling: a temperature of every pixel, fitted on validation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmaslp.common.bands import border_bands

__all__ = ['LocalTemperature', 'fit_pixels', 'with_bands']


class LocalTemperature(nn.Module):
    r"""Temperature of every pixel, from the logits around it and from the image.

    .. math:: T = \mathrm{ReLU}(t + 1) + 10^{-8}

    where t is a tree of convolutions of 5 x 5 pixels with dilation 2: four leaves of
    the logits are mixed in pairs, the two pairs are mixed, and that with a leaf of the
    image. Each mixture is weighed by the sigmoid of a convolution of the logits. A leaf
    is 1 plus its convolution, and all weights start at 0, so that T starts at 2.

    Args:
        channels (int): Of the images; four with :func:`with_bands`. Defaults to 3.

    Source: `Local Temperature Scaling for Probability Calibration
    <https://arxiv.org/abs/2008.05105>`_ (ICCV 2021), as in the authors' code.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.leaves = _convolution(1, 4)
        self.gates = _convolution(1, 4)
        self.image_leaf = _convolution(channels, 1)

    def forward(self, logits: Tensor, images: Tensor) -> Tensor:
        """Temperature ``(N, 1, H, W)`` of logits ``(N, 1, H, W)`` and their images."""
        a, b, c, d = (1 + self.leaves(logits)).split(1, 1)
        first, second, both, whole = torch.sigmoid(self.gates(logits)).split(1, 1)
        mixed = torch.lerp(torch.lerp(d, c, second), torch.lerp(b, a, first), both)
        found = torch.lerp(1 + self.image_leaf(images), mixed, whole)
        return F.relu(found + 1) + 1e-8


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 5, padding=4, padding_mode='reflect', dilation=2)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def with_bands(images: Tensor, logits: Tensor) -> Tensor:
    """Images and, as a channel from -1 to 1, the band of the predicted border."""
    bands = border_bands(logits[:, 0] > 0).to(images.dtype)
    return torch.cat([images, bands[:, None] / 2 - 1], 1)


def fit_pixels(
    logits: Tensor, images: Tensor, labels: Tensor, epochs: int = 200, seed: int = 0
) -> LocalTemperature:
    """Fit by the authors' recipe: least NLL, Adam at 1e-4, 200 epochs, batches of 4.

    Args:
        logits (Tensor): ``(N, 1, H, W)``.
        images (Tensor): ``(N, C, H, W)``.
        labels (Tensor): 0 or 1, ``(N, 1, H, W)``.
        epochs (int): Passes over the images. Defaults to 200.
        seed (int): Of their order. Defaults to 0.
    """
    module = LocalTemperature(images.shape[1])
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for index in torch.randperm(len(logits), generator=generator).split(4):
            scaled = logits[index] / module(logits[index], images[index])
            loss = F.binary_cross_entropy_with_logits(scaled, labels[index].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return module
