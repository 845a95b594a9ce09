"""The images that a report shows: the worst both ways, and a sample."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..files.images import open_image
from ..files.prob_maps import quantised
from ..metrics.errors import accuracy, confidence
from ..metrics.image_table import ImageTable
from .analysis import ImageSet, Measured
from .text_table import metric_text

# Why an image is shown; the key of its metrics that decides, the largest first.
REASONS = {'over': 'oe', 'under': 'ue', 'sample': 'sample'}


def sample_rank(name: str) -> float:
    """Pseudo-random number of an image, in (0, 1]; the same for every model.

    The images of largest rank are a sample that does not depend on the order of the
    images, on the number of processes or on where the files lie.
    """
    stem = PurePath(name.replace('\\', '/')).stem
    digest = sha256(stem.encode(errors='surrogateescape')).digest()
    return (int.from_bytes(digest[:6], 'big') + 1) / 2**48


def on_their_side(metrics: dict[str, Any]) -> dict[str, Any]:
    """Put 0 for the over-confidence of an image that is under-confident as a whole.

    Some bins of an image can be over-confident and others under-confident. ``gap`` is
    confidence minus accuracy of the image.
    """
    gap = metrics['gap'] if 'gap' in metrics else metrics['oe'] - metrics['ue']
    over = metrics['oe'] * (gap > 0)
    return {**metrics, 'oe': over, 'ue': metrics['ue'] * (gap < 0)}


def ranked(images: ImageTable) -> dict[str, list[str]]:
    """By reason, names of the images, the worst first, as `ShownImages` keeps them."""
    gap = confidence(images.table) - accuracy(images.table)
    metrics = on_their_side({**images.per_image(), 'gap': gap})
    ranks = np.array([sample_rank(name) for name in images.names])
    metrics['sample'] = np.where(np.isnan(metrics['oe']), np.nan, ranks)
    found = {}
    for why, key in REASONS.items():
        rows = np.flatnonzero(metrics[key] > 0)
        order = sorted(rows, key=lambda r: (-metrics[key][r], images.names[r]))
        found[why] = [images.names[row] for row in order]
    return found


def chosen(
    worst: Sequence[Mapping[str, Sequence[str]]], number: int
) -> dict[str, list[str]]:
    """Choose images that are shown for all models, ``number`` per reason.

    ``worst`` holds, by model and reason, names of images, the worst first. The models
    take turns; each gets one at least.
    """
    found: dict[str, list[str]] = {}
    for why in REASONS:
        names = found.setdefault(why, [])
        lists = [own[why] for own in worst]
        for turn in range(max(map(len, lists)) if number else 0):
            for own in lists:
                wanted = turn < len(own) and own[turn] not in names
                if wanted and (not turn or len(names) < number):
                    names.append(own[turn])
    return found


class ShownImages:
    """Keep the images that :func:`ranked` puts first, with their maps.

    ``items`` are at most ``size`` of each of the :data:`REASONS`, the worst first:
    ``name``, ``index``, ``metrics`` (by name), ``prob`` ``(H, W)`` uint16 in units of 1
    / 65535 and ``label`` ``(H, W)`` uint8.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: dict[str, list[dict[str, Any]]] = {why: [] for why in REASONS}

    def push(
        self,
        name: str,
        index: int,
        metrics: dict[str, float],
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
    ) -> None:
        """Offer an image, the ``index``-th of this process, with ``(H, W)`` maps.

        ``metrics`` are its ``oe``, ``ue`` and others; nan of an image without valid
        pixels, which has nothing to show.
        """
        rank = sample_rank(name) if metrics['oe'] == metrics['oe'] else 0.0
        metrics = {**on_their_side(metrics), 'sample': rank}
        item = {'name': name, 'index': index, 'metrics': metrics}
        wanted = [
            why
            for why, key in REASONS.items()
            if item['metrics'][key] > self._least(why, key)
        ]
        if wanted:
            prob, label = (np.asarray(torch.as_tensor(e).cpu()) for e in (prob, label))
            item['prob'] = quantised(prob)
            item['label'] = label.astype(np.uint8)
            self.extend({why: [item] for why in wanted})

    def _least(self, why: str, key: str) -> float:
        """What an image must surpass."""
        if not self.size:
            return np.inf
        kept = self.items[why]
        return kept[-1]['metrics'][key] if len(kept) == self.size else 0.0

    def extend(self, items: dict[str, Sequence[dict[str, Any]]]) -> None:
        """Join items, such as those of another process; the name decides ties."""
        for why, own in items.items():
            key = REASONS[why]
            joined = [*self.items[why], *own]
            joined.sort(key=lambda item: (-item['metrics'][key], item['name']))
            self.items[why] = joined[: self.size]

    def drop_after(self, kept: int) -> None:
        """Forget images whose index is ``kept`` or above."""
        for why, own in self.items.items():
            self.items[why] = [item for item in own if item['index'] < kept]


# Colours of the error: p above the label, and p below it. Not those of over- and
# under-confidence: an object that is missed with confidence lies below its label.
ABOVE = (123, 50, 148)
BELOW = (27, 120, 55)
IGNORED = (150, 150, 150)
# Longest side in pixels, and quality of the WebP.
SIDE = 240
QUALITY = 80
TITLES = {
    'over': 'Most over-confident',
    'under': 'Most under-confident',
    'sample': 'Random sample',
}
FIGURES = {'conf': 'confidence', 'acc': 'accuracy'}


def make_picture(
    name: str, prob: np.ndarray, label: np.ndarray, image: str | Path | None = None
) -> dict[str, Any]:
    """Make what a result holds of one image, see :func:`image_panels`."""
    words = _words(prob / 65535, label)
    panels = {}
    for kind, panel in image_panels(prob, label, image).items():
        buffer = io.BytesIO()
        exact = kind == 'mask'
        panel.save(buffer, 'WEBP', lossless=exact, quality=QUALITY, method=6)
        data = base64.b64encode(buffer.getvalue()).decode()
        panels[kind] = {
            'source': f'data:image/webp;base64,{data}',
            'alt': words[kind],
            'width': panel.width,
            'height': panel.height,
        }
    return {'name': name, 'panels': panels}


def image_panels(
    prob: np.ndarray, label: np.ndarray, image: str | Path | None = None
) -> dict[str, Image.Image]:
    """Draw photograph (if there is one), mask, probability and error of an image.

    ``prob`` is uint16 in units of 1 / 65535; labels above 1 are ignored. The error is
    white where p equals the label, purple where p is above it and green below.
    """
    prob = prob / 65535
    ignored = label > 1
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

    try:
        if image and Path(image).exists():
            panels = {'image': open_image(image).convert('RGB'), **panels}
    except ValueError as error:
        warnings.warn(f'{image} is not shown: {error}', stacklevel=2)

    for panel in panels.values():
        panel.thumbnail((SIDE, SIDE))  # small maps keep their size
    return panels


def galleries(group: ImageSet, number: int) -> list[dict[str, Any]]:
    """Lay out the pictures of one set, ``number`` per reason.

    Per reason: ``title``, ``above`` (images that an earlier reason shows) and
    ``images`` with ``name``, ``why``, ``panels`` of the image and, by model, ``views``.
    """
    worst = [_with_pictures(member, number) for member in group.members]
    found = []
    seen = set()
    for why, names in chosen(worst, number).items():
        images = []
        for name in names:
            if name not in seen:
                owners = zip(group.members, worst)
                images.append(_shown(group, name))
                blamed = [m.model for m, own in owners if name in own[why]]
                if why != 'sample' and len(group.members) > 1:
                    images[-1]['why'] = f'among the worst of {", ".join(blamed)}'
        if names:
            above = [name for name in names if name in seen]
            found.append({'title': TITLES[why], 'above': above, 'images': images})
        seen.update(names)

    return found


def _with_pictures(member: Measured, number: int) -> dict[str, list[str]]:
    """By reason, the worst images of a model, as far as it has pictures of them."""
    return {
        why: [*takewhile(member.pictures.__contains__, names)][:number]
        for why, names in ranked(member.images).items()
    }


def _shown(group: ImageSet, name: str) -> dict[str, Any]:
    """An image, its mask, and what each model made of it."""
    own = [member for member in group.members if name in member.pictures]
    panels = [member.pictures[name]['panels'] for member in own]
    views = []
    for member, panel in zip(own, panels):
        metrics = member.images.per_image()
        row = member.images.names.index(name)
        figures = (f'{w} {metric_text(metrics[k][row])}' for k, w in FIGURES.items())
        parts = {kind: panel[kind] for kind in ('probability', 'error')}
        views.append(
            {'model': member.model, 'figures': ', '.join(figures), 'panels': parts}
        )

    most = max(panels, key=len)

    return {
        'name': PurePath(own[0].pictures[name]['name'].replace('\\', '/')).name,
        'why': '',
        'panels': {kind: most[kind] for kind in ('image', 'mask') if kind in most},
        'views': views,
    }


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
