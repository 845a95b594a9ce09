"""What several benchmarks read and draw."""

from pathlib import Path

import numpy as np
from scipy.special import expit

from mmaslp.files.map_pairs import pair_files, read_pair
from mmaslp.files.prob_maps import MapReader

__all__ = ['Pair', 'of_folder', 'of_run', 'weights_of']

# A map of probabilities and its mask.
Pair = tuple[np.ndarray, np.ndarray]
WINDOWS = ('windows', 'val_windows')  # object-free parts, which no review meets


def of_folder(folder: Path) -> dict[str, list[Pair]]:
    """Pairs of val and test of ``{val,test}/{maps,masks}``."""
    parts = {}
    for part in ('val', 'test'):
        pairs, _ = pair_files(folder / part / 'maps', folder / part / 'masks')
        parts[part] = [read_pair(MapReader(), *paths) for paths in pairs.values()]
    return parts


def of_run(path: Path) -> dict[str, list[Pair]]:
    """Pairs of all sets of a ``maps.npz`` of train.py or published.py."""
    with np.load(path) as held:
        names = [name for name in held.files if name.endswith('_logits')]
        parts = [name.removesuffix('_logits') for name in names]
        return {
            part: [
                (expit(np.squeeze(z).astype(np.float64)), np.squeeze(label))
                for z, label in zip(held[f'{part}_logits'], held[f'{part}_labels'])
            ]
            for part in parts
            if part not in WINDOWS
        }


def weights_of(images: int, resamples: int) -> np.ndarray:
    """How often each resample holds each image, ``(resamples + 1, images)``.

    The first row holds each once.
    """
    drawn = np.random.default_rng(0).integers(images, size=(resamples, images))
    counts = np.stack([np.bincount(row, minlength=images) for row in drawn])
    return np.vstack([np.ones(images), counts])
