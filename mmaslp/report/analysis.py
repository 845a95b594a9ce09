"""What a page shows of its results: estimates, differences, means, errors by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from ..core.measure import BandTable
from ..core.measure.bootstrap import Resamples, percentiles, resample
from ..files.image_names import rows_by_name
from .document import Entry, Report
from .text_table import CALIBRATION_KEYS

__all__ = ['Analysis', 'Estimate', 'ImageSet', 'Measured', 'analyse']

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure and the bounds of its 95 % interval; nan where undefined."""

    value: float
    low: float = float('nan')
    high: float = float('nan')

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return self.value == self.value

    @property
    def has_interval(self) -> bool:
        """Whether both bounds are known."""
        return self.low == self.low and self.high == self.high

    @property
    def without_zero(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Measured:
    """One entry with what was computed of its images.

    Args:
        entry (Entry): The entry; its set bears the name of the group.
        index (int): Number of its model among all models of the page, for its colour.
        resamples (Resamples): Of the images in the order of the group.
        estimates (dict[str, Estimate]): Of the columns of the comparison.
        rows (np.ndarray): Place in the table of the entry of each image of the group.
    """

    entry: Entry
    index: int
    resamples: Resamples
    estimates: dict[str, Estimate]
    rows: np.ndarray


@dataclass(frozen=True)
class ImageSet:
    """The models that were measured on the same images.

    Args:
        name (str): Of the set.
        members (tuple[Measured, ...]): One per model.
    """

    name: str
    members: tuple[Measured, ...]

    @cached_property
    def differences(self) -> dict[tuple[str, str], dict[str, Estimate]]:
        """By (model, baseline): model minus baseline on the same images, per metric."""
        found = {}
        for first, second in permutations(self.members, 2):
            compared = first.resamples.differences(second.resamples)
            found[second.entry.model, first.entry.model] = {
                key: Estimate(each['difference'], each['low'], each['high'])
                for key, each in compared.items()
            }
        return found


@dataclass(frozen=True)
class Analysis:
    """All figures of a page.

    Args:
        sets (tuple[ImageSet, ...]): In the order of the entries.
        models (tuple[str, ...]): Names of all models.
        keys (tuple[str, ...]): Metrics that some entry has.
        means (dict[str, dict[str, Estimate]]): By model with two or more sets.
    """

    sets: tuple[ImageSet, ...]
    models: tuple[str, ...]
    keys: tuple[str, ...]
    means: dict[str, dict[str, Estimate]]

    @property
    def members(self) -> list[Measured]:
        """Of all sets."""
        return [member for group in self.sets for member in group.members]


def analyse(report: Report, resamples: int = RESAMPLES) -> Analysis:
    """Compute the figures of a page.

    Args:
        report (Report): The results.
        resamples (int): Bootstrap resamples of differences, of means and of intervals
            that a result lacks. Defaults to 1000.

    Raises:
        ValueError: The table of a result cannot be used.
    """
    groups = _grouped(report.entries)
    names = _distinct([entries[0].dataset for entries in groups])
    named = [
        [
            entry.named(model, name)
            for entry, model in zip(entries, _distinct([e.model for e in entries]))
        ]
        for entries, name in zip(groups, names)
    ]
    models = tuple(dict.fromkeys(e.model for entries in named for e in entries))
    sets = tuple(
        ImageSet(
            name,
            tuple(
                _measured(entry, models.index(entry.model), resamples, seed)
                for entry in entries
            ),
        )
        for seed, (name, entries) in enumerate(zip(names, named))
    )
    known = {key for group in sets for m in group.members for key in m.estimates}
    keys = tuple(key for key in CALIBRATION_KEYS if key in known)
    return Analysis(sets, models, keys, _means(sets, models, keys))


def _grouped(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Put results of the same images together, but not one model on two sets."""
    groups: list[tuple[Any, list[Entry]]] = []
    for entry in entries:
        identity = _identity(entry)
        for other, members in groups:
            twice = any(
                each.model == entry.model and each.dataset != entry.dataset
                for each in members
            )
            if other == identity and not twice:
                members.append(entry)
                break
        else:
            groups.append((identity, [entry]))
    return [members for _, members in groups]


def _identity(entry: Entry) -> Any:
    """The same for results that can be compared image by image."""
    images, settings = entry.images, entry.result['settings']
    try:
        rows = rows_by_name(images.names)
    except ValueError as error:
        raise ValueError(f'{entry.model}, {entry.dataset}: {error}') from error
    pixels = images.num_pixels
    bands = BandTable() if images.bands is None else images.bands
    return (
        tuple(settings.get(key) for key in ('bins', 'mode', 'protocol')),
        frozenset((name, int(pixels[row])) for name, row in rows.items()),
        # Without any image nothing tells two sets apart but their names.
        entry.dataset if not len(images) else tuple(bands.edges),
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the names that repeat."""
    found: list[str] = []
    for name in names:
        number, own = 2, name
        while own in found:
            own, number = f'{name} ({number})', number + 1
        found.append(own)
    return found


def _measured(entry: Entry, index: int, resamples: int, seed: int) -> Measured:
    rows = rows_by_name(entry.images.names)
    order = np.array([rows[name] for name in sorted(rows)], dtype=np.int64)
    drawn = resample(entry.images.take(order), resamples, seed)
    given = entry.result.get('intervals', {})
    estimates = {}
    for key in CALIBRATION_KEYS:
        value = entry.result.get(key)
        if key not in entry.result or key not in drawn.values:
            continue
        low, high = given.get(key) or drawn.interval(key).tolist()
        estimates[key] = Estimate(number(value), number(low), number(high))
    return Measured(entry, index, drawn, estimates, order)


def number(value: float | None) -> float:
    """Return a number of a JSON file, nan where it is null."""
    return float('nan') if value is None else float(value)


def _means(
    sets: Sequence[ImageSet], models: Sequence[str], keys: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """Means over the sets with objects; the sets were resampled independently."""
    means = {}
    for model in models:
        own = [
            m
            for group in sets
            for m in group.members
            if m.entry.model == model and not m.entry.ood
        ]
        if len(own) < 2:
            continue
        means[model] = row = {}
        for key in keys:
            counted = [m for m in own if key in m.estimates]
            counted = [m for m in counted if not np.isnan(m.estimates[key].value)]
            if counted:
                value = float(np.mean([m.estimates[key].value for m in counted]))
                drawn = np.mean([m.resamples.drawn[key] for m in counted], axis=0)
                row[key] = Estimate(value, *percentiles(drawn, 0.95).tolist())
    return means
