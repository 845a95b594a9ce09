"""The decoder of the network that the paper's authors released."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu


@MODELS.register_module()
class DilatedFusionNeck(BaseModule):
    """Top-down fusion of sums of dilated convolutions, up to full size.

    A lateral is the sum of parallel dilated 3x3 convolutions of a stage. From the
    deepest stage upwards, the map is added to the next lateral, refined by a residual
    unit and upsampled. Follow it with ``FCNHead(num_convs=0, concat_input=False)``.

    Args:
        in_channels (Sequence[int]): Channels of the stages, finest first.
        channels (int): Channels of the laterals and of the fusion. Defaults to 256.
        dilations (Sequence[int]): Dilations of the parallel convolutions. Defaults to
            (3, 6, 12, 18).
        mid_channels (int): Channels at half of full size. Defaults to 128.
        out_channels (int): Channels of the result. Defaults to 32.
        init_cfg (dict, optional): mmengine's initialisation. Defaults to None: as
            released.

    Shape:
        - input: one ``(N, C_i, H_i, W_i)`` for each of ``in_channels``.
        - output: a tuple of one map ``(N, out_channels, 4 * H_0, 4 * W_0)``, >= 0.

    Raises:
        ValueError: In a call, if the number of maps is not that of ``in_channels``.

    Source: the architecture of ``model/ResNet_models.py`` in
    https://github.com/Carlisle-Liu/ASLP; top-down fusion as in `RefineNet
    <https://arxiv.org/abs/1611.06612>`_.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        dilations: Sequence[int] = (3, 6, 12, 18),
        mid_channels: int = 128,
        out_channels: int = 32,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.laterals = nn.ModuleList(
            DilatedSum(width, channels, dilations) for width in in_channels
        )
        self.skip_units = nn.ModuleList(ResidualUnit(channels) for _ in in_channels[1:])
        self.units = nn.ModuleList(ResidualUnit(channels) for _ in in_channels)
        self.mid_conv = nn.Conv2d(channels, mid_channels, 3, padding=1)
        self.out_conv = nn.Conv2d(mid_channels, out_channels, 3, padding=1)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Decode the features of the backbone, finest first."""
        if len(inputs) != len(self.laterals):
            raise ValueError(
                f'DilatedFusionNeck: in_channels has {len(self.laterals)} numbers, and '
                f'the backbone gives {len(inputs)} maps: give a number for each'
            )
        skips = [lateral(x) for lateral, x in zip(self.laterals, inputs)]
        x = self.units[-1](skips[-1])
        for i in reversed(range(len(skips) - 1)):
            x = interpolate(
                x, size=skips[i].shape[-2:], mode='bilinear', align_corners=True
            )
            x = self.units[i](x + self.skip_units[i](skips[i]))

        x = interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)
        x = interpolate(self.mid_conv(x), scale_factor=2, mode='bilinear')
        return (relu(self.out_conv(x)),)


class DilatedSum(nn.Module):
    """Sum of parallel dilated 3x3 convolutions of the same input."""

    def __init__(self, in_channels: int, channels: int, dilations: Sequence[int]):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 3, padding=d, dilation=d)
            for d in dilations
        )
        for conv in self.convs:
            nn.init.normal_(conv.get_parameter('weight'), std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, channels, H, W)``."""
        return sum(conv(x) for conv in self.convs)


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions around the *rectified* input, as the released unit."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` to the same shape."""
        x = relu(x)
        return x + self.conv2(relu(self.conv1(x)))
