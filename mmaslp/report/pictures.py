"""The pictures of a report: photograph, mask, probability and error of an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from .analysis import ImageSet
from .text_table import metric_text

__all__ = ['chosen', 'galleries', 'image_panels', 'make_picture']

# Colours of the error: p above the label, and p below it. Not those of over- and
# under-confidence: an object that is missed with confidence lies below its label.
ABOVE, BELOW, IGNORED = (123, 50, 148), (27, 120, 55), (150, 150, 150)
# Longest side in pixels, and quality of the WebP.
SIDE, QUALITY = 240, 80
# Why an image is shown: heading, and the metric that decides.
_KINDS = {
    'over': ('Most over-confident', 'oe'),
    'under': ('Most under-confident', 'ue'),
    'sample': ('Random sample', ''),
}
_FIGURES = {'oe': 'OE', 'ue': 'UE', 'acc': 'accuracy', 'conf': 'confidence'}


def make_picture(
    item: Mapping[str, Any],
    image: str | Path | None = None,
    reasons: Sequence[str] = (),
) -> dict[str, Any]:
    """Make what a result holds of one image."""
    words = _words(item['prob'] / 65535, item['label'])
    panels = image_panels(item['prob'], item['label'], image)
    return {
        # A report names no folder of the machine it was made on.
        'name': PurePath(item['name'].replace('\\', '/')).name,
        'reasons': list(reasons),
        'metrics': {key: item['metrics'].get(key) for key in _FIGURES},
        'panels': {
            key: {
                'source': _embedded(panel, lossless=key == 'mask'),
                'alt': words[key],
                'width': panel.width,
                'height': panel.height,
            }
            for key, panel in panels.items()
        },
    }


def image_panels(
    prob: np.ndarray, label: np.ndarray, image: str | Path | None = None
) -> dict[str, Image.Image]:
    """Draw photograph (if there is one), mask, probability and error of an image.

    ``prob`` is uint16 in units of 1 / 65535; labels above 1 are ignored. The error is
    white where p equals the label, purple where p is above it and green below.
    """
    prob, ignored = prob / 65535, label > 1
    mask = np.repeat(np.where(ignored, 0, label * 255)[..., None], 3, -1)
    error = prob - label
    colour = np.where((error > 0)[..., None], ABOVE, BELOW)
    blend = np.rint(255 + (colour - 255.0) * np.minimum(np.abs(error), 1)[..., None])
    mask[ignored] = blend[ignored] = IGNORED
    panels = {
        'mask': Image.fromarray(mask.astype(np.uint8)),
        'probability': Image.fromarray(np.rint(prob * 255).astype(np.uint8)),
        'error': Image.fromarray(blend.astype(np.uint8)),
    }
    photo = _photo(image)
    panels = panels if photo is None else {'image': photo, **panels}
    for panel in panels.values():
        panel.thumbnail((SIDE, SIDE))  # small maps keep their size
    return panels


def chosen(
    ranked: Mapping[str, Mapping[str, Sequence[str]]], number: int
) -> dict[str, list[str]]:
    """Choose images that are shown for all models, ``number`` per reason.

    ``ranked`` holds, by model and reason, names of images, the worst first. The models
    take turns; each gets one at least.
    """
    found: dict[str, list[str]] = {}
    for why in dict.fromkeys(why for own in ranked.values() for why in own):
        names = found.setdefault(why, [])
        lists = [own.get(why, ()) for own in ranked.values()]
        for turn in range(max(map(len, lists), default=0)):
            for own in lists:
                wanted = turn < len(own) and own[turn] not in names
                if wanted and (not turn or len(names) < number):
                    names.append(own[turn])
    return found


def galleries(group: ImageSet, number: int) -> list[dict[str, Any]]:
    """Lay out the pictures of one set, ``number`` per reason.

    Per reason: ``title``, ``above`` (names of images that an earlier reason shows) and
    ``images``, see :func:`_shown`.
    """
    by_stem: dict[str, dict[str, dict[str, Any]]] = {}
    ranked: dict[str, dict[str, list[str]]] = {}
    for member in group.members:
        pictures = member.result.get('pictures', [])
        for picture in pictures:
            stem = PurePath(picture['name']).stem
            by_stem.setdefault(stem, {})[member.model] = picture
        ranked[member.model] = {
            why: [
                PurePath(picture['name']).stem
                for picture in sorted(
                    pictures, key=lambda each: -(each['metrics'].get(key) or 0)
                )
                if why in picture['reasons']
            ]
            for why, (_, key) in _KINDS.items()
        }
    found, seen = [], set()
    for why, names in chosen(ranked, number).items():
        new = [name for name in names if name not in seen]
        seen.update(new)
        if names:
            found.append(
                {
                    'title': _KINDS[why][0],
                    'above': [name for name in names if name not in new],
                    'images': [_shown(by_stem[name], why) for name in new],
                }
            )
    return found


def _shown(own: dict[str, dict[str, Any]], why: str) -> dict[str, Any]:
    """``name``, ``why``, ``panels`` of the image, ``views``: what each model made."""
    named = [model for model, picture in own.items() if why in picture['reasons']]
    by_several = len(own) > 1 and why != 'sample'
    first = max(own.values(), key=lambda picture: len(picture['panels']))
    views = [
        {
            'model': model,
            'figures': ', '.join(
                f'{name} {metric_text(picture["metrics"].get(key))}'
                for key, name in _FIGURES.items()
            ),
            'panels': _panels(picture, ('probability', 'error')),
        }
        for model, picture in own.items()
    ]
    return {
        'name': first['name'],
        'why': f'among the worst of {", ".join(named)}' if by_several else '',
        'panels': _panels(first, ('image', 'mask')),
        'views': views,
    }


def _panels(picture: dict[str, Any], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {key: picture['panels'][key] for key in keys if key in picture['panels']}


def _photo(path: str | Path | None) -> Image.Image | None:
    """Read an image file, None if that is not possible."""
    if path is None:
        return None
    try:
        with Image.open(path) as photo:
            return photo.convert('RGB')
    except OSError:
        return None


def _embedded(panel: Image.Image, lossless: bool) -> str:
    buffer = io.BytesIO()
    panel.save(buffer, 'WEBP', lossless=lossless, quality=QUALITY, method=6)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'


def _words(prob: np.ndarray, label: np.ndarray) -> dict[str, str]:
    """Say what each panel shows."""
    valid = label <= 1
    pixels = max(int(valid.sum()), 1)
    mask, predicted = valid & (label == 1), valid & (prob > 0.5)
    error = np.where(valid, prob - mask, 0)
    above, below = (np.maximum(sign * error, 0).sum() / pixels for sign in (1, -1))
    ignored = '' if valid.all() else f', {1 - pixels / label.size:.0%} are ignored'
    return {
        'image': 'photograph',
        'mask': f'mask: {mask.sum() / pixels:.1%} of the pixels are object{ignored}',
        'probability': f'probability: {predicted.sum() / pixels:.1%} of the pixels are '
        'above 0.5',
        'error': f'error: {(mask != predicted).sum() / pixels:.1%} of the pixels have '
        f'the wrong class; the mean probability is {above:.3f} too high (purple) and '
        f'{below:.3f} too low (green)',
    }
