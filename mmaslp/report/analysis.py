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
from .comparison import other_images, other_masks, rows_by_name, sorted_images
from .text_table import CALIBRATION_KEYS

RESAMPLES = 1000


@dataclass(frozen=True)
class Measured:
    """One result, and what was computed of its images, sorted by name."""

    model: str
    result: dict[str, Any]
    images: ImageTable
    resamples: Resamples

    def estimate(self, key: str) -> list[float]:
        """A metric and the bounds of its 95 % interval, nan where undefined."""
        given = self.result.get('intervals', {}).get(key)
        if given is None:
            known = key in self.resamples.values
            given = self.resamples.interval(key) if known else (None, None)
        return np.array([self.result.get(key), *given], float).tolist()  # null is nan

    @cached_property
    def pictures(self) -> dict[str, dict[str, Any]]:
        """Pictures by the name of the image in ``images``."""
        names = self.result['images']['names']
        own = {names[row]: name for name, row in rows_by_name(names).items()}
        return {own[each['name']]: each for each in self.result.get('pictures', [])}


@dataclass(frozen=True)
class ImageSet:
    """The models that were measured on the same images."""

    name: str
    members: tuple[Measured, ...]

    @cached_property
    def differences(self) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
        """By (model, baseline): model minus baseline on the same images, per metric."""
        return {
            (model.model, base.model): base.resamples.differences(model.resamples)
            for base, model in permutations(self.members, 2)
        }


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


Member = tuple[dict[str, Any], ImageTable]


def analyse(results: Sequence[dict[str, Any]], resamples: int = RESAMPLES) -> Analysis:
    """Compute the figures of a page."""
    if not results:
        raise ValueError('a report needs at least one result')
    groups = _grouped(results)
    names = _distinct([group[0][0]['dataset'] for group in groups])
    sets = []
    for seed, (name, group) in enumerate(zip(names, groups)):
        models = _distinct([result['model'] for result, _ in group])
        found = (
            Measured(model, result, images, resample(images, resamples, seed))
            for model, (result, images) in zip(models, group)
        )
        sets.append(ImageSet(name, tuple(found)))
    every = [member for group in sets for member in group.members]
    with_objects = [member for member in every if not member.result.get('ood')]
    models = tuple(dict.fromkeys(member.model for member in every))
    known = {key for member in every for key in member.result}
    means = {m: _mean([own for own in with_objects if own.model == m]) for m in models}
    return Analysis(
        sets=tuple(sets),
        models=models,
        keys=tuple(key for key in CALIBRATION_KEYS if key in known),
        means={model: row for model, row in means.items() if row},
        mean_name='mean of sets'
        + (' with objects' if len(with_objects) < len(every) else ''),
    )


def _grouped(results: Sequence[dict[str, Any]]) -> list[list[Member]]:
    """Put results of the same images together, but not one model on two sets."""
    groups: list[list[Member]] = []
    for result in results:
        member = result, sorted_images(result)
        for group in groups:
            first, same_set = group[0], result['dataset'] == group[0][0]['dataset']
            if other_images(first, member):
                continue
            masks = other_masks(first[1], member[1])
            if masks and same_set:
                raise ValueError(
                    f'{first[0]["model"]} and {result["model"]} on '
                    f'{result["dataset"]}: {masks}'
                )
            # Without any image nothing tells two sets apart but their names.
            twice = result['model'] in [each['model'] for each, _ in group]
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
        count, own = 2, name
        while own in found:
            own, count = f'{name} ({count})', count + 1
        found.append(own)
    return found


def _mean(members: Sequence[Measured]) -> dict[str, list[float]]:
    """Take means over two or more sets, which were resampled independently."""
    row = {}
    for key in CALIBRATION_KEYS if len(members) > 1 else ():
        known = [each for each in members if not np.isnan(each.estimate(key)[0])]
        if known:
            value = np.mean([each.estimate(key)[0] for each in known])
            drawn = np.mean([each.resamples.drawn[key] for each in known], axis=0)
            row[key] = [value, *percentiles(drawn)]
    return row
