"""The images that a report shows: the worst both ways, and a sample."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.measure import ImageTable
from ..files.prob_maps import quantised

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


def ranked(images: ImageTable) -> dict[str, list[str]]:
    """By reason, names of the images, the worst first, as `ShownImages` keeps them."""
    metrics = images.per_image()
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
        item = {'name': name, 'index': index, 'metrics': {**metrics, 'sample': rank}}
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
