"""The images that a report shows: the worst both ways, and a sample."""

import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from ..common.table import number_text
from ..evaluation.comparison import Measured, image_names
from ..files.photos import upright
from ..metrics.errors import accuracy, confidence
from ..metrics.image_table import ImageTable
from .views import webp_address

# Images to show per set and reason.
PICTURES = 6
# Why an image is shown.
TITLES = {
    'over': 'Most over-confident',
    'under': 'Most under-confident',
    'sample': 'Random sample',
}
# Colours of the error: p above the label, and p below it. Not those of over- and
# under-confidence: an object that is missed with confidence lies below its label.
ABOVE = (123, 50, 148)
BELOW = (27, 120, 55)
IGNORED = (150, 150, 150)
# Longest side in pixels.
SIDE = 240


def ranked(images: ImageTable) -> dict[str, list[str]]:
    """By the keys of :data:`TITLES`, the images that it suits, the first first.

    Some bins of an image can be over-confident and others under-confident: it is shown
    for the side that its mean confidence is on.
    """
    gap = confidence(images.table) - accuracy(images.table)
    metrics = images.per_image()
    size = {
        'over': metrics['oe'] * (gap > 0),
        'under': metrics['ue'] * (gap < 0),
        'sample': np.where(np.isnan(gap), 0, [*map(sample_rank, images.names)]),
    }
    names = np.array(images.names, object)
    return {
        why: [names[row] for row in np.lexsort((names, -sizes)) if sizes[row] > 0]
        for why, sizes in size.items()
    }


def sample_rank(name: str) -> float:
    """Pseudo-random number of an image, in (0, 1]; the same for every model.

    The images of largest rank are a sample that does not depend on the order of the
    images, on the number of processes or on where the files lie.
    """
    stem = PurePath(name.replace('\\', '/')).stem
    digest = sha256(stem.encode(errors='surrogateescape')).digest()
    return (int.from_bytes(digest[:6], 'big') + 1) / 2**48


def chosen(
    tables: Sequence[ImageTable], number: int = PICTURES
) -> dict[str, list[str]]:
    """Choose images that are shown for all models, about ``number`` per reason.

    Each model gives its first ones, one at least.
    """
    share = -(-number // len(tables))
    ranks = [ranked(images) for images in tables]
    return {
        why: list(dict.fromkeys(name for rank in ranks for name in rank[why][:share]))
        for why in TITLES
    }


def make_picture(
    name: str,
    prob: np.ndarray,
    label: np.ndarray,
    image: str | Path | None = None,
    where: str = '',
) -> dict[str, Any]:
    """Make what a result holds of one image, see :func:`image_panels`.

    ``where`` begins the words of each panel, such as the slice of a volume.
    """
    words = _words(prob, label)
    panels = {
        kind: {
            'source': webp_address(panel, lossless=kind == 'mask', method=6),
            'alt': where + words[kind],
            'width': panel.width,
            'height': panel.height,
        }
        for kind, panel in image_panels(prob, label, image).items()
    }
    return {'name': name, 'panels': panels}


def image_panels(
    prob: np.ndarray, label: np.ndarray, image: str | Path | None = None
) -> dict[str, Image.Image]:
    """Draw photograph (if there is one), mask, probability and error of an image.

    ``prob`` is ``(H, W)`` in [0, 1]; labels above 1 are ignored. The error is white
    where p equals the label, purple where p is above it and green below.
    """
    ignored = label > 1
    mask = np.repeat(np.where(ignored, 0, label * 255)[..., None], 3, -1)
    error = prob.astype(np.float64) - label
    colour = np.where((error > 0)[..., None], ABOVE, BELOW)
    blend = np.rint(255 + (colour - 255.0) * np.minimum(np.abs(error), 1)[..., None])
    mask[ignored] = IGNORED
    blend[ignored] = IGNORED
    panels = {
        'mask': Image.fromarray(mask.astype(np.uint8)),
        'probability': Image.fromarray(np.rint(prob * 255).astype(np.uint8)),
        'error': Image.fromarray(blend.astype(np.uint8)),
    }

    try:
        if image and Path(image).exists():
            panels = {'image': upright(Path(image), prob.shape)[0], **panels}
    except ValueError as error:
        warnings.warn(f'{image} is not shown: {error}', stacklevel=2)

    for panel in panels.values():
        panel.thumbnail((SIDE, SIDE))  # small maps keep their size
    return panels


def galleries(
    members: Sequence[Measured], number: int = PICTURES
) -> list[dict[str, Any]]:
    """Lay out the pictures of one set, each image once.

    Per reason: ``title`` and ``images`` with ``name``, ``panels`` of the image and
    ``views``, one for each model.
    """
    pictures = [_by_name(member) for member in members]
    shown = {name for of_model in pictures for name in of_model}
    parts = []
    for why, names in chosen([member.images for member in members], number).items():
        images = [_image(name, members, pictures) for name in names if name in shown]
        shown.difference_update(names)
        if images:
            parts.append({'title': TITLES[why], 'images': images})
    return parts


def _by_name(member: Measured) -> dict[str, dict[str, Any]]:
    """Panels by the name of the image in the table of the result."""
    paths = member.result.images.names
    names = dict(zip(paths, image_names(paths)))
    return {
        names[picture['name']]: picture['panels'] for picture in member.result.pictures
    }


def _image(
    name: str, members: Sequence[Measured], pictures: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """An image, its mask, and what each model made of it."""
    views = [
        {
            'model': member.result.model,
            'metrics': _sureness(member.images, name),
            'panels': {kind: panels[name][kind] for kind in ('probability', 'error')},
        }
        for member, panels in zip(members, pictures)
        if name in panels
    ]
    every = {}
    for panels in pictures:
        every |= panels.get(name, {})
    shared = {kind: every[kind] for kind in ('image', 'mask') if kind in every}
    return {'name': name, 'panels': shared, 'views': views}


def _sureness(images: ImageTable, name: str) -> str:
    row = images.table.take([images.names.index(name)])
    conf, acc = (
        number_text(float(metric(row)[0])) for metric in (confidence, accuracy)
    )
    return f'confidence {conf}, accuracy {acc}'


def _words(prob: np.ndarray, label: np.ndarray) -> dict[str, str]:
    valid = label <= 1
    pixels = max(int(valid.sum()), 1)
    mask = valid & (label == 1)
    predicted = valid & (prob > 0.5)
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
