"""Corrupted test images, as ImageNet-C makes them."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ['CORRUPTIONS', 'corrupted']

# The fifteen that ImageNet-C reports.
CORRUPTIONS = (
    'gaussian_noise', 'shot_noise', 'impulse_noise', 'defocus_blur', 'glass_blur',
    'motion_blur', 'zoom_blur', 'snow', 'frost', 'fog', 'brightness', 'contrast',
    'elastic_transform', 'pixelate', 'jpeg_compression',
)  # fmt: skip
# Those that draw from a generator of their own; all others draw from NumPy's.
_SEEDED = ('impulse_noise', 'glass_blur')


def corrupted(images: Tensor, names: Sequence[str]) -> Tensor:
    """Corrupt every image, by turns by each corruption and each severity.

    What is drawn depends on the name of the image only.

    Args:
        images (Tensor): ``(N, 3, H, W)``, uint8, RGB, at least 32 pixels on both sides.
        names (Sequence[str]): Of the images, in their order.

    Source: `Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations <https://arxiv.org/abs/1903.12261>`_ (ICLR 2019), by
    ``imagecorruptions-imaug``.
    """
    from imagecorruptions import corrupt

    state, found = np.random.get_state(), []
    for index, (image, name) in enumerate(zip(images, names)):
        kind = CORRUPTIONS[index % len(CORRUPTIONS)]
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')
        np.random.seed(seed)
        changed = corrupt(
            image.permute(1, 2, 0).contiguous().numpy(),
            severity=1 + index // len(CORRUPTIONS) % 5,
            corruption_name=kind,
            **({'seed': seed} if kind in _SEEDED else {}),
        )
        found.append(torch.from_numpy(np.ascontiguousarray(changed)).permute(2, 0, 1))
    np.random.set_state(state)
    return torch.stack(found)
