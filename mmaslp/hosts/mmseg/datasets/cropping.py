"""The crop of the paper's training pipeline."""

import numpy as np
from mmseg.registry import TRANSFORMS

from ....core.argument_checks import check_integer


@TRANSFORMS.register_module()
class RandomCenterCrop:
    """Crop a centred window that is up to ``border`` pixels smaller on each axis.

    Width and height are drawn separately, each uniform between side - border and side -
    1. So the aspect ratio varies a little.

    Args:
        border (int): The most that is cut from an axis, in pixels, >= 1. Defaults to
            30.

    Raises:
        ValueError: ``border`` is below 1, or an image is not larger than it; the
            message names the image.

    Source: the augmentation in ``data.py`` of https://github.com/Carlisle-Liu/ASLP.
    """

    def __init__(self, border: int = 30) -> None:
        self.border = check_integer('border', border, at_least=1)

    def __call__(self, results: dict) -> dict:
        """Crop an image and its masks."""
        height, width = results['img'].shape[:2]
        if min(height, width) <= self.border:
            raise ValueError(
                f'{results.get("img_path")}: {width} x {height} pixels are too few to '
                f'cut up to {self.border}: lower border of RandomCenterCrop'
            )
        window = self._window(height), self._window(width)
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = results[key][window]
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _window(self, side: int) -> slice:
        kept = np.random.randint(side - self.border, side)
        start = (side - kept) // 2
        return slice(start, start + kept)
