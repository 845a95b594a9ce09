"""Image, mask, probability and error of one image, side by side."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Error colours: p above the label, and p below the label.
FALSE_POSITIVE, FALSE_NEGATIVE = (200, 68, 44), (43, 108, 176)
IGNORED = (150, 150, 150)


def image_panels(
    item: dict[str, Any], image: str | Path | None = None, side: int = 240
) -> dict[str, Image.Image]:
    """Make the panels of one image.

    Args:
        item (dict): ``prob`` ``(H, W)`` uint16 in units of 1 / 65535 and ``label``
            ``(H, W)`` of 0, 1 and any other value for ignored pixels.
        image (str | Path, optional): The image file. Defaults to None: no such panel.
            The same if it cannot be read.
        side (int): Longest side of a panel. Defaults to 240.

    Returns:
        dict[str, PIL.Image.Image]: ``image`` (maybe), ``mask``, ``probability`` and
        ``error``: white where p equals the label, red for p above, blue for p
        below it.
    """
    prob, label = item['prob'] / 65535, item['label']
    ignored = label > 1
    grey = np.where(ignored, 0, label) * 255
    mask = np.repeat(grey[..., None], 3, -1).astype(np.uint8)
    mask[ignored] = IGNORED
    panels = {
        'mask': Image.fromarray(mask),
        'probability': Image.fromarray(np.rint(prob * 255).astype(np.uint8)),
        'error': Image.fromarray(_error(prob, label, ignored)),
    }
    photo = _photo(image)
    if photo is not None:
        panels = {'image': photo, **panels}
    return {name: _fit(panel, side) for name, panel in panels.items()}


def _error(prob: np.ndarray, label: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Blend from white to the colour of the error, ``(H, W, 3)`` uint8."""
    error = prob - label
    colour = np.where((error > 0)[..., None], FALSE_POSITIVE, FALSE_NEGATIVE)
    strength = np.minimum(np.abs(error), 1)[..., None]
    blend = np.rint(255 + (colour - 255.0) * strength).astype(np.uint8)
    blend[ignored] = IGNORED
    return blend


def _photo(path: str | Path | None) -> Image.Image | None:
    """Read an image file, None if that is not possible."""
    if path is None:
        return None
    try:
        with Image.open(path) as photo:
            return photo.convert('RGB')
    except OSError:
        return None


def _fit(panel: Image.Image, side: int) -> Image.Image:
    """Shrink to ``side``; small maps keep their size."""
    panel = panel.copy()
    panel.thumbnail((side, side))
    return panel
