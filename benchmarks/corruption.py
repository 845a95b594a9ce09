"""Corrupted test images, as ImageNet-C makes them.

    python benchmarks/corruption.py IMAGES OUT --severities 1 3 5

writes ``OUT/<corruption>_<severity>/<name>.png``; images that are there are kept.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

__all__ = ['CORRUPTIONS', 'MOVING', 'corrupt_image', 'corrupt_mask', 'corrupted']

# The fifteen that ImageNet-C reports.
CORRUPTIONS = (
    'gaussian_noise', 'shot_noise', 'impulse_noise', 'defocus_blur', 'glass_blur',
    'motion_blur', 'zoom_blur', 'snow', 'frost', 'fog', 'brightness', 'contrast',
    'elastic_transform', 'pixelate', 'jpeg_compression',
)  # fmt: skip
# Those that move the objects of an image: one by places, two by a shift.
MOVING = ('elastic_transform', 'glass_blur', 'motion_blur')
# Those that draw from a generator of their own; all others draw from NumPy's.
_SEEDED = ('impulse_noise', 'glass_blur')


def corrupt_image(image: np.ndarray, name: str, kind: str, severity: int) -> np.ndarray:
    """Corrupt an RGB image ``(H, W, 3)``, uint8; all that is drawn follows its name.

    Source: `Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations <https://arxiv.org/abs/1903.12261>`_ (ICLR 2019), by
    ``imagecorruptions-imaug``.
    """
    from imagecorruptions import corrupt

    state = np.random.get_state()
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')
    np.random.seed(seed)
    generator = {'seed': seed} if kind in _SEEDED else {}
    changed = corrupt(image, severity=severity, corruption_name=kind, **generator)
    np.random.set_state(state)
    return np.ascontiguousarray(changed).astype(np.uint8)


def corrupt_mask(mask: np.ndarray, name: str, kind: str, severity: int) -> np.ndarray:
    """Move a mask ``(H, W)`` of {0, 1} as :func:`corrupt_image` moves its image.

    How it moves follows the name and the size of the image alone. Blur moves a mask by
    the mean shift that it gives to a disc.
    """
    if kind not in MOVING:
        return mask
    if kind == 'elastic_transform':
        moved = corrupt_image(_picture(mask), name, kind, severity)
        return (moved[..., 0] > 127).astype(np.uint8)

    rows, columns = np.indices(mask.shape)
    middle = np.array(mask.shape) / 2
    distance = np.hypot(rows - middle[0], columns - middle[1])
    disc = distance < min(mask.shape) / 8
    blurred = corrupt_image(_picture(disc), name, kind, severity)[..., 0]
    shift = np.subtract(ndimage.center_of_mass(blurred), ndimage.center_of_mass(disc))
    return ndimage.shift(mask, np.rint(shift), order=0, mode='nearest')


def _picture(mask: np.ndarray) -> np.ndarray:
    """A mask as an image, white on black."""
    return np.repeat(255 * mask.astype(np.uint8)[..., None], 3, axis=2)


def corrupted(images: Tensor, names: Sequence[str]) -> Tensor:
    """Corrupt every image, by turns by each corruption and each severity.

    Args:
        images (Tensor): ``(N, 3, H, W)``, uint8, RGB, at least 32 pixels on both sides.
        names (Sequence[str]): Of the images, in their order.
    """
    changed = []
    for index, (image, name) in enumerate(zip(images, names)):
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        kind = CORRUPTIONS[index % len(CORRUPTIONS)]
        severity = 1 + index // len(CORRUPTIONS) % 5
        changed.append(torch.from_numpy(corrupt_image(pixels, name, kind, severity)))
    return torch.stack(changed).permute(0, 3, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('images', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--severities', type=int, nargs='+', default=[1, 2, 3, 4, 5])
    args = parser.parse_args()
    for severity in args.severities:
        for kind in CORRUPTIONS:
            folder = args.out / f'{kind}_{severity}'
            folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(args.images.iterdir()):
                target = folder / f'{file.stem}.png'
                if not target.is_file():
                    image = np.asarray(Image.open(file).convert('RGB'))
                    changed = corrupt_image(image, file.stem, kind, severity)
                    Image.fromarray(changed).save(target, compress_level=1)


if __name__ == '__main__':
    main()
