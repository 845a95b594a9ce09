"""Corrupted images, as a transform of a test pipeline."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

__all__ = ['COMMON', 'CorruptImage', 'corruptions']

# The fifteen that ImageNet-C reports; the library has four more.
COMMON = (
    'gaussian_noise',
    'shot_noise',
    'impulse_noise',
    'defocus_blur',
    'glass_blur',
    'motion_blur',
    'zoom_blur',
    'snow',
    'frost',
    'fog',
    'brightness',
    'contrast',
    'elastic_transform',
    'pixelate',
    'jpeg_compression',
)
# Those that draw from a generator of their own; all others draw from NumPy's.
_SEEDED = ('impulse_noise', 'glass_blur')
_SMALLEST = 32  # pixels, of the library


def corruptions() -> Any:
    """The library.

    ``imagecorruptions-imaug`` carries the code of ``imagecorruptions`` on: it gives the
    same images, runs on NumPy 2, needs no ImageMagick and can seed all that it draws.

    Raises:
        ImportError: If it is not installed, or the old one of the same module is.
    """
    try:
        import imagecorruptions
    except ImportError as error:
        raise ImportError(
            f'corrupted images need a package ({error}): pip install '
            '"imagecorruptions-imaug>=1.1.5"'
        ) from error
    if not hasattr(imagecorruptions.corruptions, 'SK_VERSION'):
        raise ImportError(
            'imagecorruptions is installed, which does not run on NumPy 2: replace it '
            'by imagecorruptions-imaug, whose module has the same name'
        )
    return imagecorruptions


@TRANSFORMS.register_module()
class CorruptImage(BaseTransform):
    """Corrupt an image as ImageNet-C does; the mask stays as it is.

    Stands behind ``LoadImageFromFile``, so that it acts on the image of the file. What
    is drawn depends on the name of the file, the corruption, the severity and the seed,
    and on nothing else: neither on the order of the images nor on the process.

    Args:
        corruption (str): Name of the corruption.
        severity (int): 1 to 5.
        seed (int): Seed of the draws. Defaults to 0.

    Raises:
        ValueError: If there is no such corruption or severity, or an image is smaller
            than 32 pixels.
        ImportError: See :func:`corruptions`.

    Source: `Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations <https://arxiv.org/abs/1903.12261>`_ (ICLR 2019).
    """

    def __init__(self, corruption: str, severity: int, seed: int = 0) -> None:
        known = corruptions().get_corruption_names('all')
        if corruption not in known:
            raise ValueError(f'no corruption {corruption!r}, there are {known}')
        if severity not in range(1, 6):
            raise ValueError(f'severity must be 1 to 5, not {severity!r}')
        self.corruption = corruption
        self.severity = severity
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Corrupt ``results['img']``, (H, W, 3), uint8, BGR."""
        image, path = results['img'], results['img_path']
        if min(image.shape[:2]) < _SMALLEST:
            raise ValueError(
                f'{path}: {image.shape[1]} x {image.shape[0]} pixels, but corruptions '
                f'need at least {_SMALLEST} on both sides'
            )
        seed = self._seed_of(Path(path).name)
        own = {'seed': seed} if self.corruption in _SEEDED else {}
        state = np.random.get_state()
        np.random.seed(seed)
        try:
            corrupted = corruptions().corrupt(
                np.ascontiguousarray(image[..., ::-1]),
                severity=self.severity,
                corruption_name=self.corruption,
                **own,
            )
        finally:
            np.random.set_state(state)
        results['img'] = np.ascontiguousarray(corrupted[..., ::-1])
        return results

    def _seed_of(self, name: str) -> int:
        text = f'{name} {self.corruption} {self.severity} {self.seed}'
        digest = hashlib.sha256(text.encode()).digest()
        return int.from_bytes(digest[:4], 'big')
