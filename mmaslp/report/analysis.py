"""What a page shows of its results: estimates, differences, means over sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from ..core.measure import ImageTable
from ..core.measure.bootstrap import Resamples, percentiles, resample
from .matching import other_images, other_masks, sorted_images
from .text_table import CALIBRATION_KEYS

__all__ = ['Analysis', 'Estimate', 'ImageSet', 'Measured', 'analyse', 'number']

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure and the bounds of its 95 % interval; nan where undefined."""

    value: float
    low: float = float('nan')
    high: float = float('nan')

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
    """One result, and what was computed of its images, sorted by name."""

    model: str
    result: dict[str, Any]
    images: ImageTable
    resamples: Resamples
    estimates: dict[str, Estimate]


@dataclass(frozen=True)
class ImageSet:
    """The models that were measured on the same images."""

    name: str
    members: tuple[Measured, ...]

    def member(self, model: str) -> Measured | None:
        """The result of a model, if it has one on this set."""
        return next((each for each in self.members if each.model == model), None)

    @cached_property
    def differences(self) -> dict[tuple[str, str], dict[str, Estimate]]:
        """By (model, baseline): model minus baseline on the same images, per metric."""
        found = {}
        for first, second in permutations(self.members, 2):
            compared = first.resamples.differences(second.resamples)
            found[second.model, first.model] = {
                key: Estimate(each['difference'], each['low'], each['high'])
                for key, each in compared.items()
            }
        return found


@dataclass(frozen=True)
class Analysis:
    """All figures of a page; ``keys`` are the metrics that some result has."""

    sets: tuple[ImageSet, ...]
    models: tuple[str, ...]
    keys: tuple[str, ...]
    means: dict[str, dict[str, Estimate]]

    @property
    def members(self) -> list[Measured]:
        """Of all sets."""
        return [member for group in self.sets for member in group.members]

    @property
    def mean_name(self) -> str:
        """What the means are over."""
        without = any(member.result.get('ood') for member in self.members)
        return 'mean of sets with objects' if without else 'mean of sets'


def analyse(results: Sequence[dict[str, Any]], resamples: int = RESAMPLES) -> Analysis:
    """Compute the figures of a page."""
    if not results:
        raise ValueError('a report needs at least one result')
    members = [(result, sorted_images(result)) for result in results]
    groups = _grouped(members)
    names = _distinct([members[0][0]['dataset'] for members in groups])
    sets = []
    for seed, (name, members) in enumerate(zip(names, groups)):
        models = _distinct([result['model'] for result, _ in members])
        measured = [
            _measured(model, *member, resamples, seed)
            for model, member in zip(models, members)
        ]
        sets.append(ImageSet(name, tuple(measured)))
    every = [member for group in sets for member in group.members]
    models = tuple(dict.fromkeys(member.model for member in every))
    known = {key for member in every for key in member.estimates}
    keys = tuple(key for key in CALIBRATION_KEYS if key in known)
    means = {
        model: _mean([m for m in every if m.model == model and not m.result.get('ood')])
        for model in models
    }
    means = {model: row for model, row in means.items() if row}
    return Analysis(tuple(sets), models, keys, means)


Member = tuple[dict[str, Any], ImageTable]


def _grouped(members: Sequence[Member]) -> list[list[Member]]:
    """Put results of the same images together, but not one model on two sets."""
    groups: list[list[Member]] = []
    for result, images in members:
        for group in groups:
            first = group[0]
            same_set = result['dataset'] == first[0]['dataset']
            if other_images(first, (result, images)):
                continue
            masks = other_masks(first[1], images)
            if masks and same_set:
                raise ValueError(
                    f'{first[0]["model"]} and {result["model"]} on '
                    f'{result["dataset"]}: {masks}'
                )
            twice = any(
                each['model'] == result['model']
                and each['dataset'] != result['dataset']
                for each, _ in group
            )
            # Without any image nothing tells two sets apart but their names.
            if not masks and not twice and (same_set or len(images)):
                group.append((result, images))
                break
        else:
            groups.append([(result, images)])
    return groups


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the names that repeat."""
    found: list[str] = []
    for name in names:
        count, own = 2, name
        while own in found:
            own, count = f'{name} ({count})', count + 1
        found.append(own)
    return found


def _measured(
    model: str, result: dict[str, Any], images: ImageTable, resamples: int, seed: int
) -> Measured:
    drawn = resample(images, resamples, seed)
    given = result.get('intervals', {})
    estimates = {}
    for key in CALIBRATION_KEYS:
        if key in result and key in drawn.values:
            bounds = given.get(key) or drawn.interval(key).tolist()
            estimates[key] = Estimate(*map(number, (result[key], *bounds)))
    return Measured(model, result, images, drawn, estimates)


def number(value: float | None) -> float:
    """Return a number of a JSON file, nan where it is null."""
    return float('nan') if value is None else float(value)


def _mean(members: Sequence[Measured]) -> dict[str, Estimate]:
    """Take means over two or more sets, which were resampled independently."""
    row = {}
    for key in CALIBRATION_KEYS if len(members) > 1 else ():
        counted = [m for m in members if key in m.estimates]
        counted = [m for m in counted if not np.isnan(m.estimates[key].value)]
        if counted:
            value = float(np.mean([m.estimates[key].value for m in counted]))
            drawn = np.mean([m.resamples.drawn[key] for m in counted], axis=0)
            row[key] = Estimate(value, *percentiles(drawn, 0.95).tolist())
    return row
