"""The panels of an image as a page embeds them, with words for what is seen."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .document import Panel, Picture
from .panels import image_panels

__all__ = ['PANELS', 'chosen', 'make_picture']

# Those that belong to the image, and those that belong to a model.
PANELS = ('image', 'mask', 'probability', 'error')
# Longest side in pixels, and quality of the WebP.
SIDE, QUALITY = 240, 80


def make_picture(
    item: Mapping[str, Any],
    image: str | Path | None = None,
    reasons: Sequence[str] = (),
) -> Picture:
    """Make the panels of one image.

    Args:
        item (Mapping): ``name``, ``metrics``, and ``prob`` and ``label`` of
            :func:`~mmaslp.report.panels.image_panels`.
        image (str | Path, optional): The photograph. Defaults to None: no such panel;
            the same if it cannot be read.
        reasons (Sequence[str]): Why the image is shown, see :class:`Picture`. Defaults
            to none.
    """
    words = _words(item['prob'] / 65535, item['label'])
    panels = image_panels(dict(item), image, SIDE)
    return Picture(
        # A report names no folder of the machine it was made on.
        item['name'].replace('\\', '/').rsplit('/', 1)[-1],
        {
            key: value if value == value else None
            for key, value in item['metrics'].items()
            if key in ('oe', 'ue', 'ece', 'acc', 'conf')
        },
        {
            key: Panel(_embedded(panel, lossless=key == 'mask'), words[key])
            for key, panel in panels.items()
        },
        tuple(reasons),
    )


def chosen(
    ranked: Mapping[str, Mapping[str, Sequence[str]]], number: int
) -> dict[str, list[str]]:
    """Choose images that are shown for all models.

    Args:
        ranked (Mapping[str, Mapping[str, Sequence[str]]]): By model and reason, names
            of images, the worst first.
        number (int): How many per reason. The models take turns; each gets one at
            least.

    Returns:
        dict[str, list[str]]: By reason, names of images in the order of their choice.
    """
    found: dict[str, list[str]] = {}
    for why in dict.fromkeys(why for own in ranked.values() for why in own):
        lists = [list(own.get(why, ())) for own in ranked.values()]
        names = found.setdefault(why, [])
        for turn in range(max(map(len, lists), default=0)):
            if turn and len(names) >= number:
                break
            for own in lists:
                if turn < len(own) and own[turn] not in names:
                    if turn and len(names) >= number:
                        break
                    names.append(own[turn])
    return found


def _embedded(panel: Image.Image, lossless: bool) -> str:
    buffer = io.BytesIO()
    panel.save(buffer, 'WEBP', lossless=lossless, quality=QUALITY, method=6)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'


def _words(prob: np.ndarray, label: np.ndarray) -> dict[str, str]:
    """Say what each panel shows."""
    valid = label <= 1
    pixels = max(int(valid.sum()), 1)
    mask, predicted = valid & (label == 1), prob > 0.5
    error = np.where(valid, prob - np.where(mask, 1.0, 0.0), 0)
    wrong = valid & (predicted != mask)
    ignored = '' if valid.all() else f'; {1 - pixels / label.size:.0%} are ignored'
    return {
        'image': 'photograph',
        'mask': f'mask: {_object(mask, pixels)}{ignored}',
        'probability': f'probability: {_object(predicted & valid, pixels, "above 0.5")}'
        f', mean {prob[valid].mean() if valid.any() else 0:.2f}',
        'error': f'error: {wrong.sum() / pixels:.1%} of the pixels have the wrong '
        f'class; mean excess {np.maximum(error, 0).sum() / pixels:.3f} (red), mean '
        f'shortfall {np.maximum(-error, 0).sum() / pixels:.3f} (blue)',
    }


def _object(mask: np.ndarray, pixels: int, what: str = 'foreground') -> str:
    """Share and place of the pixels of a mask."""
    if not mask.any():
        return f'no pixel {what}' if what != 'foreground' else 'no foreground'
    rows, columns = np.nonzero(mask)
    down = int(3 * (rows.mean() + 0.5) / mask.shape[0])
    across = int(3 * (columns.mean() + 0.5) / mask.shape[1])
    place = f'{("upper", "", "lower")[min(down, 2)]} '
    place += ('left', 'centre', 'right')[min(across, 2)]
    return f'{mask.sum() / pixels:.1%} of the pixels {what}, around the {place.strip()}'
