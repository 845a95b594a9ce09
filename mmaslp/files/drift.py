"""Drift: what maps alone tell of two sets, without masks, compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from scipy.special import expit

from ..calibration.calibrator import Calibrator
from ..common.bands import border_bands
from ..metrics.bootstrap import ALARM
from ..metrics.objects import mask_scores
from .map_pairs import MapFiles, count_files
from .prob_maps import MapReader
from .review import mean_confidence

# What is compared, and its name for people.
FIGURES = {
    'foreground': 'share of the mask',
    'confidence': 'mean confidence',
    'border_confidence': 'mean confidence at the border of the mask',
    'objects': 'objects found',
    'expected_dice': 'expected Dice',
}
# Fewer images in a set tell no drift.
LEAST_IMAGES = 10
# A change of the mean of less than so much of the spread over images is no drift, as
# of a library that rounds in another way.
LEAST_CHANGE = 0.1


@dataclass(frozen=True)
class Drift:
    """One figure in both sets.

    Attributes:
        base (float): Mean over the images of the first set; also ``new``.
        p_value (float): Of a test that both are alike: of Wilcoxon's signed ranks on
            the same images, else of Kolmogorov and Smirnov; nan if it is undefined.
        drifts (bool): Whether they differ beyond chance.
    """

    base: float
    new: float
    p_value: float
    drifts: bool


@dataclass(frozen=True)
class Drifts:
    """Two sets: the figures by key, and whether their images have the same names."""

    figures: dict[str, Drift]
    images: tuple[int, int]
    paired: bool

    @property
    def found(self) -> list[str]:
        """list[str]: Keys of the figures that drift."""
        return [key for key, own in self.figures.items() if own.drifts]


def compare_maps(
    base: str | Path,
    new: str | Path,
    *,
    calibrator: Calibrator | None = None,
    reader: MapReader | None = None,
    workers: int | None = 1,
) -> Drifts:
    """Compare two folders of maps by what they tell without masks.

    The expected Dice is that of the calibrator, else the Soft Dice Confidence
    (`Borges et al. <https://arxiv.org/abs/2402.10665>`_), nan without a mask.

    Raises:
        ValueError: A folder or file is not usable, there are fewer than ten images in a
            set, or the calibrator knows no objects.
    """
    if calibrator is not None:
        calibrator.need_decisions()
    tables = []
    for folder in (base, new):
        counted = count_files(
            MapFiles.of(folder),
            partial(_Rows, calibrator, reader is not None and reader.logits),
            reader,
            workers=workers,
            what='comparing',
        )
        if len(counted.rows) < LEAST_IMAGES:
            raise ValueError(
                f'{folder}: {len(counted.rows)} maps are too few to tell drift: take '
                f'{LEAST_IMAGES} or, better, a hundred'
            )
        tables.append(counted.rows)

    paired = tables[0].keys() == tables[1].keys()
    values = [np.array([own[name] for name in sorted(own)]) for own in tables]
    figures = {
        key: compare_values(values[0][:, column], values[1][:, column], paired)
        for column, key in enumerate(FIGURES)
    }
    return Drifts(figures, (len(tables[0]), len(tables[1])), paired)


class _Rows:
    """Figures by name, as :func:`~mmaslp.files.map_pairs.count_files` fills them."""

    def __init__(self, calibrator: Calibrator | None, logits: bool) -> None:
        self.calibrator = calibrator
        self.logits = logits
        self.rows: dict[str, list[float]] = {}

    def add(self, name: str, key: int, prob: np.ndarray, label: None) -> None:
        self.rows[name] = figures_of_map(prob, self.calibrator, self.logits)

    def merge(self, other: _Rows) -> None:
        self.rows |= other.rows


def figures_of_map(
    prob: np.ndarray, calibrator: Calibrator | None = None, logits: bool = False
) -> list[float]:
    """Give the figures of one map, in the order of :data:`FIGURES`."""
    p = expit(prob.astype(np.float64)) if logits else prob
    mask = p > 0.5
    bands = border_bands(torch.from_numpy(mask.reshape(-1, *mask.shape[-2:])))
    near = p[bands.numpy().reshape(p.shape) == 0]
    border = np.maximum(near, 1 - near).mean(dtype=np.float64) if near.size else np.nan
    if calibrator is None:
        said = mask_scores(p, mask.astype(np.uint8))
        objects = len(said.objects)
        expected = said.expected
    else:
        estimate, _ = calibrator.judge(prob, logits)
        objects = estimate.objects
        expected = estimate.dice
    return [float(mask.mean()), mean_confidence(p), border, objects, expected]


def compare_values(base: np.ndarray, new: np.ndarray, paired: bool) -> Drift:
    """Test one figure, ``(I,)`` in each set; nan where an image has none."""
    known = [own[~np.isnan(own)] for own in (base, new)]
    if min(map(len, known)) < LEAST_IMAGES:
        means = (float(own.mean()) if len(own) else np.nan for own in known)
        return Drift(*means, np.nan, False)
    one, other = known

    if paired:
        both = ~np.isnan(base) & ~np.isnan(new)
        changed = (new - base)[both]
        moved = changed.any()
        p_value = stats.wilcoxon(changed).pvalue if moved else 1.0
    else:
        p_value = stats.ks_2samp(one, other).pvalue
    change = abs(other.mean() - one.mean())
    large = change > LEAST_CHANGE * one.std()
    drifts = bool(p_value < ALARM / len(FIGURES) and large)
    return Drift(float(one.mean()), float(other.mean()), float(p_value), drifts)
