"""The U-Net of the prototypes by band, registered as a backbone.

A config names this module in ``custom_imports``; scripts of this folder find it,
others with ``PYTHONPATH=benchmarks``.
"""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

__all__ = ['PlainUNet']


@MODELS.register_module()
class PlainUNet(BaseModule):
    """A U-Net whose first stage works at the size of the image.

    Five stages of two 3 x 3 convolutions with batch normalisation, with 1, 2, 4, 8 and
    8 times the channels of the first; max pooling down, bilinear interpolation and
    concatenation up. It keeps the default initialisation of PyTorch. The sides of the
    images must be multiples of 16.

    Args:
        channels (int): Of the first stage and of the features. Defaults to 12.

    Example:
        >>> backbone = dict(type='PlainUNet')
    """

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        widths = [channels * factor for factor in (1, 2, 4, 8, 8)]
        self.down = nn.ModuleList(
            _block(inputs, outputs) for inputs, outputs in zip([3, *widths], widths)
        )
        self.up = nn.ModuleList(
            _block(below + beside, beside)
            for below, beside in zip(widths[:0:-1], widths[-2::-1])
        )
        # On a CPU that is faster.
        self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Keep PyTorch's initialisation; the host's ``init_cfg`` does not apply."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Compute the features.

        Args:
            images (Tensor): ``(N, 3, H, W)``.

        Returns:
            tuple[Tensor]: One, ``(N, channels, H, W)``.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        skips = []
        for index, stage in enumerate(self.down):
            x = stage(F.max_pool2d(x, 2) if index else x)
            skips.append(x)
        for stage, skip in zip(self.up, skips[-2::-1]):
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
            x = stage(torch.cat([x, skip], 1))
        return (x,)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
