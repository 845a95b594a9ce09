"""Fitting a calibrator: from images or from their tables, chosen out of fold."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..argument_checks import check_choice
from .calibrator import Calibrator
from .maps import METHODS, TARGETS, fit_maps
from .selection import (
    CANDIDATES,
    FIGURES,
    WIDE,
    Candidate,
    gains,
    out_of_fold,
    simplest,
)
from .tables import CalibrationTables

__all__ = ['BY', 'fit_calibrator', 'fit_tables']

BY = ('auto', 'single', 'band')
LEAST_IMAGES = 10
Map = Tensor | np.ndarray


def fit_calibrator(
    prob: Map | Iterable[Any],
    label: Map | Iterable[Map] | None = None,
    by: str = 'auto',
    method: str = 'auto',
    target: str = 'confidence',
    groups: Iterable[Hashable] | None = None,
    ignore_index: int = 255,
    logits: bool = False,
) -> Calibrator:
    """Fit a calibrator to the validation images of a network.

    Every candidate map is fitted on four fifths of the images and measured on the
    fifth, five times; of those figures a rule picks the simplest that is no worse than
    the best (:func:`~mmaslp.core.calibrators.selection.choose`), or leaves the
    probabilities as they are. ``summary()`` of the result says why.

    Args:
        prob (Tensor | np.ndarray | Iterable): Probabilities, ``(N, H, W)``,
            ``(N, 1, H, W)``, ``(N, C, H, W)`` of C binary channels or
            ``(N, C, D, H, W)`` of slices; or an iterable of images of any size, or of
            pairs of an image and its labels.
        label (Tensor | np.ndarray | Iterable, optional): Labels of {0, 1,
            ignore_index}, in the same form. Defaults to None: ``prob`` gives pairs.
        by (str): 'band': a map for each band of distance from the border of the
            predicted mask; 'single': one for all. Defaults to 'auto'.
        method (str): 'identity', 'temperature', 'affine' or 'isotonic'. Defaults to
            'auto'.
        target (str): 'confidence' keeps every decision p > 1/2; 'probability' gives the
            probability of label 1 as on these images, and may move decisions. Defaults
            to 'confidence'.
        groups (Iterable[Hashable], optional): Patient, video or place of each image:
            what belongs together is fitted or measured, never both. Defaults to None:
            every image is on its own.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        logits (bool): Whether ``prob`` holds logits. Defaults to False.

    Returns:
        Calibrator: The calibrator.

    Raises:
        ValueError: An image cannot be used; there are fewer than ten, or two groups; or
            all labels are of one class.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> prob = rng.random((20, 32, 32))
        >>> label = rng.random(prob.shape) < 1 / (1 + (1 / prob - 1) ** 0.5)
        >>> calibrator = fit_calibrator(prob, label)
        >>> calibrator.method, round(float(calibrator(np.full((32, 32), 0.9))[0, 0]), 2)
        ('temperature', 0.75)
    """
    tables = CalibrationTables()
    keys = None if groups is None else _first_seen(groups)
    number = -1
    for number, (image, mask) in enumerate(_pairs(prob, label)):
        key = number if keys is None else next(keys, None)
        if key is None:
            raise ValueError(f'there is no group for image {number}: give one for each')
        try:
            tables.update(image, mask, key, ignore_index, logits)
        except ValueError as error:
            raise ValueError(f'image {number}: {error}') from error
    if keys is not None and next(keys, None) is not None:
        raise ValueError(f'there are more groups than the {number + 1} images')
    return fit_tables(tables, by, method, target)


def fit_tables(
    tables: CalibrationTables,
    by: str = 'auto',
    method: str = 'auto',
    target: str = 'confidence',
    remarks: Sequence[str] = (),
) -> Calibrator:
    """Fit a calibrator to tables of validation images.

    Args:
        tables (CalibrationTables): Of all images.
        by (str): See :func:`fit_calibrator`.
        method (str): See :func:`fit_calibrator`.
        target (str): See :func:`fit_calibrator`.
        remarks (Sequence[str]): Sentences to keep with the calibrator. Defaults to ().

    Raises:
        ValueError: See :func:`fit_calibrator`.
    """
    check_choice('by', by, BY)
    check_choice('method', method, METHODS)
    check_choice('target', target, TARGETS)
    used = tables.images.numpy() > 0
    counts, images = tables.counts.numpy()[used], tables.images.numpy()[used]
    _check_enough(counts, images)
    candidates = [
        out_of_fold(counts, images, *each, target)
        for each in CANDIDATES
        if each[0] == 'identity'
        or (method in ('auto', each[0]) and by in ('auto', each[1]))
    ]
    chosen, reason = _chosen(candidates, method, images)
    other = out_of_fold(counts, images, 'isotonic', 'band', 'probability')
    record = dict(
        reason=reason,
        remarks=[*remarks, *_remarks(counts, images, target, chosen, other)],
        images=int(images.sum()),
        groups=len(images),
        pixels=int(counts.sum()),
        foreground=float(counts[..., 1].sum() / counts.sum()),
        candidates=[_row(each, candidates[0], chosen) for each in candidates],
    )
    kind = chosen.method, chosen.by, target
    maps = fit_maps(counts.sum(0), images.sum(), *kind)
    return Calibrator(*kind, maps, record)


def _chosen(
    candidates: Sequence[Candidate], method: str, images: np.ndarray
) -> tuple[Candidate, str]:
    """Pick a candidate, and say why."""
    identity = candidates[0]
    if method != 'auto':
        own = [each for each in candidates if each.method == method]
        return simplest(own), 'It was asked for.'
    chosen = simplest(candidates)
    if chosen is identity or not gains(chosen, identity):
        number = f'{images.sum()} images'
        if len(images) < images.sum():
            number += f' in {len(images)} groups'
        return identity, f'{number} cannot tell that any map is better than none.'
    return chosen, 'The simplest that is no worse than the best, and better than none.'


def _row(each: Candidate, identity: Candidate, chosen: Candidate) -> dict[str, Any]:
    """Figures of a candidate, and intervals of what it has more than the identity."""
    more, error = each.minus(identity)
    row: dict[str, Any] = dict(
        method=each.method, by=each.by, target=each.target, chosen=each is chosen
    )
    for key, value, low, high in zip(
        FIGURES, each.figures, more - WIDE * error, more + WIDE * error
    ):
        row[key] = float(value)
        row[f'{key}_change'] = [float(low), float(high)]
    return row


def _remarks(
    counts: np.ndarray,
    images: np.ndarray,
    target: str,
    chosen: Candidate,
    other: Candidate,
) -> Iterator[str]:
    """Say what the other target would gain, and what makes the fit doubtful."""
    share = f'objects fill {counts[..., 1].sum() / counts.sum():.0%} of the pixels'
    if target == 'confidence':
        more, error = other.minus(chosen)
        nll, brier = (
            f'{key} {value:+.4f} (+-{wide:.4f})'
            for key, value, wide in zip(('Brier', 'NLL'), more, WIDE * error)
        )
        yield (
            f"target='probability' would change {brier} and {nll}, but it moves masks, "
            f'and trusts that {share}'
        )
    else:
        yield f'the probabilities trust that {share}'
    if len(images) < LEAST_IMAGES:
        yield f'intervals of {len(images)} groups say little'


def _check_enough(counts: np.ndarray, images: np.ndarray) -> None:
    if images.sum() < LEAST_IMAGES:
        raise ValueError(
            f'{images.sum()} images are too few to fit a calibrator: it takes '
            f'{LEAST_IMAGES}, and a hundred are better'
        )
    if len(images) < 2:
        raise ValueError(
            'all images are of one group, so nothing is left to measure on'
        )
    labels = counts.sum((0, 1, 2))
    if not labels.all():
        name = 'background' if labels[0] else 'foreground'
        raise ValueError(
            f'all {labels.sum()} pixels are {name}: check that masks hold 0 and 1, not '
            '0 and 255'
        )


def _first_seen(keys: Iterable[Hashable]) -> Iterator[int]:
    """Number keys in the order of their first appearance."""
    numbers: dict[Hashable, int] = {}
    for key in keys:
        yield numbers.setdefault(key, len(numbers))


def _pairs(prob: Any, label: Any) -> Iterator[tuple[Map, Map]]:
    """Give images one by one."""
    if label is None:
        yield from prob
    elif isinstance(prob, Tensor | np.ndarray):
        if len(prob) != len(label) or prob.ndim < 3:
            raise ValueError(
                f'{tuple(prob.shape)} probabilities and {tuple(label.shape)} labels '
                'are not as many images: give both as (N, ..., H, W)'
            )
        yield from zip(prob, label)
    else:
        yield from zip(prob, label, strict=True)
