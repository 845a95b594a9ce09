"""The figures of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from math import nan

import numpy as np

from ..evaluation.result import Result
from ..metrics.bootstrap import Difference, Resamples, percentiles, resample
from ..metrics.catalogue import SHOWN
from ..metrics.image_table import ImageTable
from .comparison import (
    Comparison,
    is_calibrated,
    other_images,
    other_masks,
    rows_by_name,
    seeded,
    sorted_images,
)

RESAMPLES = 1000


@dataclass(frozen=True)
class Measured:
    """One result, and what was computed of its images, sorted by name."""

    model: str
    result: Result
    images: ImageTable
    resamples: Resamples

    def estimate(self, key: str) -> list[float]:
        """A metric and the bounds of its 95 % interval, nan where undefined."""
        given = self.result.intervals.get(key)
        if given is None:
            known = key in self.resamples.values
            given = self.resamples.interval(key) if known else (nan, nan)
        return [float(value) for value in (self.result.metrics.get(key, nan), *given)]

    @cached_property
    def pictures(self) -> dict[str, dict]:
        """Pictures by the name of the image in ``images``."""
        names = self.result.images.names
        own = {names[row]: name for name, row in rows_by_name(names).items()}
        return {own[picture['name']]: picture for picture in self.result.pictures}


@dataclass(frozen=True)
class ImageSet:
    """The models that were measured on the same images."""

    name: str
    members: tuple[Measured, ...]

    @cached_property
    def differences(self) -> dict[tuple[str, str], dict[str, Difference]]:
        """By (model, baseline): model minus baseline on the same images, per metric."""
        return {
            (model.model, base.model): base.resamples.differences(model.resamples)
            for base, model in permutations(self.members, 2)
        }

    def baseline(self, member: Measured) -> Measured | None:
        """Compare with the first model of the same kind, raw or calibrated.

        The first calibrated one is compared with the raw one that it is of.
        """
        calibrated = is_calibrated(member.result)
        kinds = [is_calibrated(own.result) for own in self.members]
        first = self.members[kinds.index(calibrated)]
        if first is not member:
            return first
        raw = [own for own, kind in zip(self.members, kinds) if not kind]
        if not calibrated or not raw:
            return None
        own = [base for base in raw if member.model.startswith(base.model)]
        return (own or raw)[0]

    def comparison(self, base: Measured, member: Measured) -> Comparison:
        """Two members, compared image by image."""
        results = base.result, member.result
        return Comparison(
            base.model,
            member.model,
            self.name,
            calibrated=all(map(is_calibrated, results)),
            images=(len(base.images), len(member.images)),
            paired=True,
            seeds=1,
            seeded=seeded(results),
            figures=self.differences[member.model, base.model],
        )


@dataclass(frozen=True)
class Analysis:
    """All figures of a page; ``keys`` are the metrics that some result has."""

    sets: tuple[ImageSet, ...]
    models: tuple[str, ...]
    keys: tuple[str, ...]
    means: dict[str, dict[str, list[float]]]
    mean_name: str

    @property
    def members(self) -> list[tuple[ImageSet, Measured]]:
        """Of all sets, each beside its set."""
        return [(group, member) for group in self.sets for member in group.members]


Member = tuple[Result, ImageTable]


def analyse(results: Sequence[Result], resamples: int = RESAMPLES) -> Analysis:
    """Compute the figures of a page."""
    if not results:
        raise ValueError('a report needs at least one result')
    groups = _grouped(results)
    names = _distinct([group[0][0].dataset for group in groups])
    sets = []
    for seed, (name, group) in enumerate(zip(names, groups)):
        models = _distinct([result.model for result, _ in group])
        found = (
            Measured(model, result, images, resample(images, resamples, seed))
            for model, (result, images) in zip(models, group)
        )
        sets.append(ImageSet(name, tuple(found)))

    every = [member for group in sets for member in group.members]
    with_objects = [member for member in every if not member.result.no_foreground]
    models = tuple(dict.fromkeys(member.model for member in every))
    known = {key for member in every for key in member.result.metrics}
    means = {m: _mean([own for own in with_objects if own.model == m]) for m in models}

    return Analysis(
        sets=tuple(sets),
        models=models,
        keys=tuple(key for key in SHOWN if key in known),
        means={model: row for model, row in means.items() if row},
        mean_name='mean of sets'
        + (' with objects' if len(with_objects) < len(every) else ''),
    )


def _grouped(results: Sequence[Result]) -> list[list[Member]]:
    """Put results of the same images together, but not one model on two sets."""
    groups: list[list[Member]] = []
    for result in results:
        member = result, sorted_images(result)
        for group in groups:
            first = group[0]
            same_set = result.dataset == first[0].dataset
            if other_images(first, member):
                continue
            masks = other_masks(first[1], member[1])
            if masks and same_set:
                raise ValueError(
                    f'{first[0].model} and {result.model} on {result.dataset}: {masks}'
                )
            # Without any image nothing tells two sets apart but their names.
            twice = result.model in [other.model for other, _ in group]
            if not masks and (same_set or (len(member[1]) and not twice)):
                group.append(member)
                break
        else:
            groups.append([member])

    return groups


def _distinct(names: Sequence[str]) -> list[str]:
    """Number the names that repeat."""
    found: list[str] = []
    for name in names:
        count = 2
        own = name
        while own in found:
            own = f'{name} ({count})'
            count = count + 1
        found.append(own)
    return found


def _mean(members: Sequence[Measured]) -> dict[str, list[float]]:
    """Take means over two or more sets, which were resampled independently."""
    row = {}
    for key in SHOWN if len(members) > 1 else ():
        known = [member for member in members if not np.isnan(member.estimate(key)[0])]
        if known:
            value = np.mean([member.estimate(key)[0] for member in known])
            drawn = np.mean([member.resamples.drawn[key] for member in known], axis=0)
            row[key] = [value, *percentiles(drawn)]
    return row
