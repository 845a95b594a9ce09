"""Fitting a calibrator: from images or from their tables, chosen out of fold."""

import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from torch import nn

from ...common.arguments import check_choice, numbers_of
from ...common.inputs import naming
from ...common.options import BY, LEAST_CASES, TARGETS
from ..calibrator import Calibrator
from ..curves import SIDE
from ..masks import MASK_KIND
from ..module import refuse_calibrated_network, warn_of_training
from .decisions import fit_decisions
from .methods import (
    FITS,
    HALFWAY_IMAGES,
    METRICS,
    Candidate,
    OutOfFold,
    candidates,
    fit_curves,
    gains,
    out_of_fold,
    share_of_correction,
    simplest,
)
from .pairs import Map, pairs_of
from .summary import PixelFacts, cases_in_words, summarize
from .tables import CalibrationTables

METHODS = ('auto', *FITS)


def fit_calibrator(
    prob: Map | Iterable[Any],
    label: Map | Iterable[Map] | None = None,
    by: str = 'auto',
    method: str = 'auto',
    target: str = 'confidence',
    groups: Iterable[Hashable] | None = None,
    ignore_index: int = 255,
    logits: bool = False,
    network: nn.Module | None = None,
) -> Calibrator:
    """Fit a calibrator to the validation images of a network.

    Every candidate is fitted on four fifths of the images and measured on the fifth,
    five times. Of the candidates that are better than none by more than a standard
    error a rule picks the simplest that is no worse than the best
    (:func:`~mmaslp.calibration.fitting.methods.simplest`). If there is none, it leaves
    probabilities as they are. ``summary()`` of the result says why.

    Args:
        prob (Tensor | np.ndarray | Iterable): Probabilities, ``(N, H, W)``,
            ``(N, 1, H, W)``, ``(N, C, H, W)`` of C binary channels or
            ``(N, C, D, H, W)`` of slices; or an iterable of images of any size,
            ``(H, W)`` or, of a volume, ``(D, H, W)``. Items of four and more axes, and
            those of a ``DataLoader``, are batches, read as arrays. Give volumes as a
            list: each is one case, and its axes are in numpy's order, not in nibabel's.
            With ``logits``, two channels whose labels have one are background and
            foreground, as :meth:`Calibrator.wrap` takes them.
        label (Tensor | np.ndarray | Iterable, optional): Labels of {0, 1,
            ignore_index}, in the same form. Defaults to None: ``prob`` gives pairs of
            an image and its labels, or of a batch and its labels.
        by (str): 'band': a curve for each band of distance from the border of the
            predicted mask; 'single': one for all. Defaults to 'auto'.
        method (str): 'identity', 'temperature', 'platt' or 'isotonic'. Defaults to
            'auto', which also shrinks the curve towards no change if images, volumes or
            groups are few: by half with 17, by 3 % with a hundred. As a prior, each
            method sees .003 images' (or groups') worth of wrong pixels at the most
            confident logits, so a temperature is higher if images are few.
        target (str): 'confidence' keeps every decision p > 1/2; 'probability' gives the
            probability of label 1 as on these images, and may move decisions. Defaults
            to 'confidence'.
        groups (Iterable[Hashable], optional): Patient, video or place of each image:
            what belongs together is fitted or measured, never both. Defaults to None:
            every image is on its own.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        logits (bool): Whether ``prob`` holds logits. Defaults to False.
        network (nn.Module, optional): The network that gave them. The calibrator keeps
            a fingerprint of its weights and warns when it wraps another one. Defaults
            to None.

    Returns:
        Calibrator: The calibrator.

    Raises:
        ValueError: An image cannot be used; there are fewer than five images, or
            groups; all labels are of one class; or all probabilities are 0 or 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> prob = rng.random((20, 32, 32))
        >>> label = rng.random(prob.shape) < 1 / (1 + (1 / prob - 1) ** 0.5)
        >>> calibrator = fit_calibrator(prob, label, method='temperature')
        >>> calibrator(np.full((32, 32), 0.9))[0, 0].round(2)
        np.float64(0.75)
    """
    tables = CalibrationTables(network)
    if network is not None:
        refuse_calibrated_network(network)
        warn_of_training(network)
    keys: Iterator[int] = count()
    if groups is not None:
        keys = numbers_of(groups)
    pairs = pairs_of(prob, label, in_order=isinstance(groups, Sized))
    for number, pair in enumerate(pairs):
        key = next(keys, None)
        if key is None:
            raise ValueError(f'there is no group for image {number}: give one for each')
        with naming(f'image {number}'):
            tables.count(pair.labelled(ignore_index, logits=logits), key)

    if groups is not None and next(keys, None) is not None:
        raise ValueError('there are more groups than images: give one for each')
    return fit_tables(tables, by, method, target)


def fit_tables(
    tables: CalibrationTables,
    by: str = 'auto',
    method: str = 'auto',
    target: str = 'confidence',
) -> Calibrator:
    """Fit a calibrator to the tables of all validation images.

    Arguments are those of :func:`fit_calibrator`.
    """
    check_choice('by', by, BY)
    check_choice('method', method, METHODS)
    check_choice('target', target, TARGETS)
    groups = GroupCounts.of(tables)
    groups.check_usable()
    if len(tables.axes) > 1:
        raise ValueError('images and volumes are mixed: fit a calibrator to each kind')

    halfway = _halfway(method)
    measured = _measure(_compared(method, by), groups, target, halfway)
    chosen, reason = choose(measured, method, groups.in_words(), groups.num_cases)

    whole = groups.counts.sum(0)
    cases = groups.num_cases
    curves = fit_curves(whole, cases, chosen.method, chosen.by, target, halfway)
    mask_curves = fit_curves(whole, cases, *MASK_KIND)
    decisions = None
    if tables.contents:
        decisions = fit_decisions(
            tables.contents,
            tables.negative_crops,
            labels=dict(enumerate(tables.counts.numpy())),
        )

    facts = PixelFacts.of(groups.counts, groups.num_cases, target)
    _warn_of_maps(groups.counts)
    record: dict[str, Any] = dict(
        images=groups.images,
        groups=groups.num_cases,
        pixels=int(whole.sum()),
        axes=groups.axes,
        network=tables.network,
        foreground_name=tables.foreground_name,
        foreground=float(whole[..., 1].sum() / whole.sum()),
        candidates=_rows(measured, chosen),
    )
    kind = (chosen.method, chosen.by, target)
    record['summary'] = summarize(kind, reason, record, decisions, facts.remarks())
    return Calibrator(
        method=chosen.method,
        by=chosen.by,
        target=target,
        curves=curves,
        record=record,
        mask_curves=mask_curves,
        decisions=decisions,
    )


@dataclass(frozen=True)
class GroupCounts:
    """Pixels of the groups that hold anything.

    Attributes:
        counts (np.ndarray): ``(G, B, CELLS, 2)`` by group, band, cell and label.
        cases (np.ndarray): ``(G,)`` number of cases of each group.
        images (int): Number of images, or volumes.
        axes (int | None): 2 of images, 3 of volumes, None of several channels.
    """

    counts: np.ndarray
    cases: np.ndarray
    images: int
    axes: int | None

    @classmethod
    def of(cls, tables: CalibrationTables) -> 'GroupCounts':
        """Take those of the tables of all images."""
        cases = tables.cases.numpy()
        has_cases = cases > 0
        return cls(
            counts=tables.counts.numpy()[has_cases],
            cases=cases[has_cases],
            images=int(tables.images.sum()),
            axes=min(tables.axes, default=None),
        )

    @property
    def num_cases(self) -> int:
        """int: Number of cases of all groups."""
        return int(self.cases.sum())

    def in_words(self) -> str:
        """Say how many images there are, and of how many groups."""
        return cases_in_words(self.images, self.num_cases, self.axes)

    def check_usable(self) -> None:
        """Refuse too few groups, labels of one class, and masks in place of maps."""
        labels = self.counts.sum((0, 1, 2))
        number = len(self.cases)
        if number < LEAST_CASES and labels.any():
            raise ValueError(
                f'a fit to {cases_in_words(self.images, number, self.axes)} cannot be '
                f'checked: a calibrator needs at least {LEAST_CASES} images, volumes '
                'or groups, and better a hundred (of nnU-Net, join the folds)'
            )

        if not labels.all():
            only = 'ignored, or there are none (a generator is read once)'
            if labels[0]:
                only = 'background'
            elif labels[1]:
                only = 'foreground'
            raise ValueError(
                f'all pixels are {only}: check that some masks contain an object, and '
                'that arrays are 0 and 1, not 0 and 255'
            )
        if not self.counts[:, :, 1:-1].any():
            raise ValueError(
                'all probabilities are 0 or 1, as in masks, so that nothing tells how '
                'sure the network is: give its probabilities before the threshold '
                '(nnU-Net writes them with --npz, or with --save_probabilities)'
            )


def _compared(method: str, by: str) -> list[Candidate]:
    """The candidates that are asked for, and none (identity), which all must beat."""
    compared = []
    for candidate in candidates():
        is_method = method in ('auto', candidate.method)
        is_asked_for = is_method and by in ('auto', candidate.by)
        if is_asked_for or candidate.method == 'identity':
            compared.append(candidate)
    return compared


def _halfway(method: str) -> float:
    """How far a curve of few images is drawn towards none, if `auto` chose it."""
    if method == 'auto':
        return HALFWAY_IMAGES
    return 0.0


def _measure(
    compared: Iterable[Candidate],
    groups: GroupCounts,
    target: str,
    halfway: float,
) -> dict[Candidate, OutOfFold]:
    """Measure candidates out of fold."""
    measured = {}
    for candidate in compared:
        measured[candidate] = out_of_fold(
            groups.counts,
            groups.cases,
            candidate.method,
            candidate.by,
            target,
            halfway,
        )
    return measured


IDENTITY = Candidate('identity', 'single')


def choose(
    measured: Mapping[Candidate, OutOfFold], method: str, size: str, cases: int
) -> tuple[Candidate, str]:
    """Pick a candidate, and say why; ``size`` says of how many images or groups."""
    if method != 'auto':
        asked_for = {}
        for candidate, metrics in measured.items():
            if candidate.method == method:
                asked_for[candidate] = metrics
        return simplest(asked_for), 'The method was asked for.'

    identity = measured[IDENTITY]
    better = {}
    for candidate, metrics in measured.items():
        if gains(metrics, identity):
            better[candidate] = metrics
    if better:
        return simplest(better), (
            'This is the simplest curve that is as good as the best. It improves the '
            'NLL or the Brier score by more than a standard error, and worsens '
            'nothing. It corrects the more cautiously the fewer images or groups there '
            'are: '
            f'with {cases} by {share_of_correction(cases):.0%} of what they suggest.'
        )

    return IDENTITY, (
        f'{size} do not show that any curve improves something and worsens nothing, so '
        'probabilities stay as they are. Fit to more images, or name a method to get '
        'it without proof.'
    )


def _rows(
    measured: Mapping[Candidate, OutOfFold], chosen: Candidate
) -> list[dict[str, Any]]:
    """Metrics of the candidates, and intervals of their change from the identity's."""
    rows = []
    for candidate, metrics in measured.items():
        more, error = metrics.minus(measured[IDENTITY])
        wide = metrics.t_value(0.975) * error
        row: dict[str, Any] = dict(
            method=candidate.method, by=candidate.by, chosen=candidate == chosen
        )
        row |= zip(METRICS, metrics.metrics.tolist())
        changes = np.stack([more - wide, more + wide], 1).tolist()
        for name, change in zip(METRICS, changes):
            row[f'{name}_change'] = change
        rows.append(row)
    return rows


def _warn_of_maps(counts: np.ndarray) -> None:
    """Warn of maps that tell nothing of the labels."""
    seen = counts[..., SIDE + 1 :, :].sum((0, 1, 2))
    elsewhere = counts[..., : SIDE + 1, :].sum((0, 1, 2))
    # The odds of foreground where maps see it were 14 to 1,446 times those elsewhere on
    # validation images of eight networks. With masks of other images they were 0 to 3
    # times those, but of people, who stand in the middle (23 and more).
    if seen[1] * elsewhere[0] > 5 * seen[0] * elsewhere[1]:
        return

    fault = 'no probability is above 1/2, so every mask is empty'
    if seen.any():
        fault = (
            'foreground is hardly more frequent where the maps see it than elsewhere'
        )
    warnings.warn(
        f'{fault}: check that maps and masks belong together and have the same '
        'orientation, that maps are probabilities of the foreground (of a softmax '
        '[:, 1]; apply a sigmoid only once), and that masks are 1 in the foreground',
        stacklevel=4,
    )
