"""The pretrained encoder of networks.py as a backbone of MMSegmentation.

A config imports it with ``custom_imports = dict(imports=['mmseg_encoder'])`` when the
folder ``benchmarks`` is on PYTHONPATH: see mmseg/fpn_polyp.py.
"""

from mmseg.registry import MODELS
from networks import PretrainedFPN
from torch import Tensor, nn


@MODELS.register_module()
class EfficientNetLite0(nn.Module):
    """Features of strides 4, 8, 16 and 32, with 24, 40, 112 and 320 channels."""

    def __init__(self) -> None:
        super().__init__()
        network = PretrainedFPN()
        self.stem = network.stem
        self.blocks = network.blocks

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features ``(N, C, H / s, W / s)`` of images ``(N, 3, H, W)``."""
        x = self.stem(images)
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x, drop_connect_rate=0.2 * index / len(self.blocks))
            if index in PretrainedFPN.stages:
                features.append(x)
        return tuple(features)
