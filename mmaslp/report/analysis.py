"""The figures of a page, and the comparison of two models on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import permutations
from math import nan
from pathlib import PurePath

import numpy as np

from ..common.outputs import check_outputs, write_output
from ..files.results import Result, load_result, strict_json
from ..metrics.bootstrap import Difference, Resamples, percentiles, resample
from ..metrics.figures import SHOWN
from ..metrics.image_table import ImageTable


def compare_results(
    first: str,
    second: str,
    *,
    names: tuple[str | None, str | None] = (None, None),
    resamples: int = 2000,
    json: str | None = None,
) -> tuple[dict[str, Difference], int]:
    """Compare the models of two result files by a paired bootstrap over their images.

    ``names`` choose of files with several models. Returns the metrics, see
    :meth:`~mmaslp.metrics.bootstrap.Resamples.differences`, and the number of
    images.

    Raises:
        ValueError: A file is not a result file, their images, masks or settings differ,
            or ``json`` is one of them or a file of another kind.
    """
    check_outputs({'--json': (json, 'comparison')}, [first, second])
    one, two = (load_result(*named) for named in zip((first, second), names))
    tables = [
        sorted_images(result, path) for result, path in ((one, first), (two, second))
    ]
    problem = other_images((one, tables[0]), (two, tables[1])) or other_masks(*tables)
    if problem:
        raise ValueError(f'{first} and {second}: {problem}')
    drawn = [resample(table, resamples) for table in tables]
    metrics = drawn[0].differences(drawn[1])
    if json:
        found = {key: asdict(difference) for key, difference in metrics.items()}
        content = {'format': 'mmaslp comparison', **found}
        write_output(json, strict_json(content, 1) + '\n', 'comparison')
    return metrics, len(tables[0])


def rows_by_name(names: Sequence[str]) -> dict[str, int]:
    """Find the row of each image by its stem, or by its path if stems repeat."""
    stems = [PurePath(name).stem for name in names]
    if len(set(stems)) == len(stems):
        names = stems
    if len(set(names)) < len(names):
        raise ValueError('the same image is in it more than once')
    return {name: row for row, name in enumerate(names)}


def sorted_images(result: Result, place: str = '') -> ImageTable:
    """Take the images of a result, sorted by stem, or by path if stems repeat."""
    images = result.images
    try:
        rows = rows_by_name(images.names)
    except ValueError as error:
        place = place or f'{result.model}, {result.dataset}'
        raise ValueError(f'{place}: {error}') from error
    order = sorted(rows)
    return replace(images.take([rows[name] for name in order]), names=order)


def other_images(
    one: tuple[Result, ImageTable], other: tuple[Result, ImageTable]
) -> str:
    """Say which settings or images two results do not share; '' if they share all."""
    (first, images) = one
    (second, others) = other
    for key in ('bins', 'mode', 'protocol'):
        pair = [result.settings.get(key) for result in (first, second)]
        if pair[0] != pair[1]:
            return f'{key} is {pair[0]!r} in the first but {pair[1]!r} in the second'
    odd = sorted(set(images.names) ^ set(others.names))
    if odd:
        return (
            f'{len(odd)} images are in one of them only, such as {odd[:3]}: evaluate '
            'both models on the same images'
        )
    return ''


def other_masks(one: ImageTable, other: ImageTable) -> str:
    """Say which masks of images of the same names differ; '' if none does."""
    differ = one.num_pixels != other.num_pixels
    if one.masks is not None and other.masks is not None:
        differ = differ | (one.masks != other.masks)
    if not differ.any():
        return ''
    name = one.names[int(np.argmax(differ))]
    return (
        f'{int(differ.sum())} images have other masks in each result, such as '
        f'{name!r}: evaluate both models with the same masks'
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
        return [float(value) for value in (self.result.figures.get(key, nan), *given)]

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
    with_objects = [member for member in every if not member.result.ood]
    models = tuple(dict.fromkeys(member.model for member in every))
    known = {key for member in every for key in member.result.figures}
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
