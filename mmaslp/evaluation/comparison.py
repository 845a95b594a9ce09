"""Comparing models like with like: raw with raw, calibrated with calibrated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from pathlib import PurePath
from typing import Any

import numpy as np

from ..common.inputs import naming
from ..metrics.bootstrap import Difference, Resamples, differences, resample
from ..metrics.image_table import ImageTable
from .result import Result
from .result_files import load_results

RESAMPLES = 1000
# Ends the name of a model whose probabilities a calibrator made.
CALIBRATED = ', calibrated'
# Settings without which metrics of two results cannot be compared.
SETTINGS = ('bins', 'mode', 'protocol')


@dataclass(frozen=True)
class Measured:
    """A model on a set: its result, its images sorted by name, resamples of them."""

    result: Result
    resamples: int = RESAMPLES

    @cached_property
    def images(self) -> ImageTable:
        """ImageTable: Named by stem, or by path where stems repeat."""
        with naming(f'{self.result.model}, {self.result.dataset}'):
            names = image_names(self.result.images.names)

        order = sorted(range(len(names)), key=names.__getitem__)
        images = self.result.images.take(order)
        return replace(images, names=[names[row] for row in order])

    @cached_property
    def drawn(self) -> Resamples:
        """Resamples: The same images for every model of the same images."""
        return resample(self.images, self.resamples)

    @property
    def measured_on(self) -> tuple:
        """tuple: Equal if settings, images and masks are the same."""
        images = self.images
        settings = [self.result.settings.get(key) for key in SETTINGS]
        masks = images.num_pixels if images.checksums is None else images.checksums
        return (*settings, *images.names, masks.tobytes())

    @property
    def is_calibrated(self) -> bool:
        """bool: Whether a calibrator made the probabilities, as far as files say."""
        return self.result.settings.get('calibrator') is not None

    @property
    def network(self) -> str:
        """str: Name of the model, the same with and without its calibrator."""
        return self.result.model.removesuffix(CALIBRATED)


@dataclass(frozen=True)
class Comparison:
    """Two models on one set, or the means over several trainings of each.

    Attributes:
        first (str): Name of the first network; also ``second``.
        dataset (str): Name of the set.
        calibrated (tuple[bool, bool]): Whether the probabilities of each are.
        images (tuple[int, int]): Number of images of each.
        paired (bool): Whether both were measured on the same images.
        trainings (int): Of each model.
        seeded (bool | None): Whether all trainings were seeded; None if unknown.
        metrics (dict[str, Difference]): Second minus first.
    """

    first: str
    second: str
    dataset: str
    calibrated: tuple[bool, bool]
    images: tuple[int, int]
    paired: bool
    trainings: int
    seeded: bool | None
    metrics: dict[str, Difference]

    @property
    def titles(self) -> tuple[str, str]:
        """tuple[str, str]: Names of both, which tell them apart."""
        names = zip((self.first, self.second), self.calibrated)
        one, other = (name + CALIBRATED * kind for name, kind in names)
        return (f'{one} (1)', f'{other} (2)') if one == other else (one, other)

    @property
    def of_calibrator(self) -> bool:
        """bool: Whether it tells what the calibrator of one network changes."""
        return self.first == self.second and self.calibrated == (False, True)


def compare(firsts: Sequence[Measured], seconds: Sequence[Measured]) -> Comparison:
    """Compare two models on one set each, one result a training.

    On the same images both models draw the same ones (paired); on other images each
    draws its own.

    Raises:
        ValueError: Settings differ, trainings of a model saw other images, or images of
            one name have other masks.
    """
    first = firsts[0]
    second = seconds[0]
    for of_side, row in (*product([first], firsts), *product([second], seconds)):
        if problem := _other_settings(first, row) or _other_images(of_side, row):
            raise ValueError(
                f'{of_side.result.model} and {row.result.model}: {problem}'
            )

    paired = first.images.names == second.images.names
    if paired and (problem := _other_masks(first, second)):
        raise ValueError(problem)
    drawn = [
        measured.drawn if paired else resample(measured.images, measured.resamples, 1)
        for measured in seconds
    ]

    return Comparison(
        first=first.network,
        second=second.network,
        dataset=first.result.dataset,
        calibrated=(first.is_calibrated, second.is_calibrated),
        images=(len(first.images), len(second.images)),
        paired=paired,
        trainings=len(firsts),
        seeded=_seeded([*firsts, *seconds]),
        metrics=differences([measured.drawn for measured in firsts], drawn),
    )


def compare_within(results: Sequence[Measured]) -> list[Comparison]:
    """Compare models of the same images, each with its :func:`baselines`."""
    return [
        compare([baseline], [measured])
        for measured in results
        for baseline in baselines(measured, results)
    ]


def baselines(measured: Measured, group: Sequence[Measured]) -> list[Measured]:
    """What a model is compared with: the first of its kind, and its raw one."""
    kind = [other for other in group if other.is_calibrated == measured.is_calibrated]
    raw = [other for other in group if not other.is_calibrated]
    without = [other for other in raw if other.network == measured.network]
    if measured is kind[0]:
        return (without or raw)[:1] if measured.is_calibrated else []
    return [kind[0], *without[: measured.is_calibrated]]


def compare_files(
    firsts: Sequence[str], seconds: Sequence[str] = (), resamples: int = RESAMPLES
) -> list[Comparison]:
    """Compare the models of result files by a bootstrap over their images.

    Args:
        firsts (Sequence[str]): Files of the first model, one for each training.
        seconds (Sequence[str]): Those of the second, in the same order. Defaults to
            none: the models of the first file are compared with each other.
        resamples (int): Defaults to 1000.

    Raises:
        ValueError: A file is not a result file, its results cannot be compared, or it
            is not clear which rows belong together.
    """
    rows, others = (
        [[Measured(row, resamples) for row in load_results(path)] for path in files]
        for files in (firsts, seconds)
    )
    if not others:
        groups = by_images(rows[0])
        comparisons = [each for group in groups for each in compare_within(group)]
        if not comparisons:
            raise ValueError(f'{firsts[0]} holds one model: name a second file')
        return comparisons

    if len(rows) != len(others):
        raise ValueError(
            f'{len(rows)} trainings of the first model and {len(others)} of the '
            'second: give as many of each, in the order of their seeds'
        )
    with naming(f'{firsts[0]} and {seconds[0]}'):
        return [compare(*pair) for pair in match(rows, others)]


# What tells which rows of two files belong together, the first that does: a set is
# named by its folder, which is another one for other images.
KEYS: tuple[Callable[[Measured], Any], ...] = (
    lambda row: (row.result.dataset, row.is_calibrated),
    lambda row: row.is_calibrated,
    lambda row: (row.result.dataset, row.result.model),
    lambda row: row.result.model,
    lambda row: 'the only one',
)


def match(
    firsts: Sequence[list[Measured]], seconds: Sequence[list[Measured]]
) -> list[tuple[list[Measured], list[Measured]]]:
    """Pair the rows of every training that belong together."""
    files = [*firsts, *seconds]
    for key in KEYS:
        tables = [{key(row): row for row in rows} for rows in files]
        unique = all(len(table) == len(rows) for table, rows in zip(tables, files))
        shared = [value for value in tables[0] if all(value in t for t in tables)]
        if unique and shared:
            rows = [[table[value] for table in tables] for value in shared]
            return [(row[: len(firsts)], row[len(firsts) :]) for row in rows]

    listed = (
        ', '.join(f'{row.result.model} on {row.result.dataset}' for row in rows)
        for rows in (firsts[0], seconds[0])
    )
    raise ValueError(
        f'it is not clear which rows belong together: {" / ".join(listed)}; give files '
        'of one model each'
    )


def by_images(rows: Sequence[Measured]) -> list[list[Measured]]:
    """Group results of the same images and masks, but not one model on two sets.

    Raises:
        ValueError: Two results of one set have other masks for images of one name.
    """
    groups: dict[tuple, list[Measured]] = {}
    for row in rows:
        key = row.measured_on
        while row.result.model in [each.result.model for each in groups.get(key, [])]:
            key = (*key, 'again')
        groups.setdefault(key, []).append(row)

    for (one, *_), (other, *_) in combinations(groups.values(), 2):
        same_set = one.result.dataset == other.result.dataset
        same_names = one.images.names == other.images.names
        if same_set and same_names and (problem := _other_masks(one, other)):
            models = f'{one.result.model} and {other.result.model}'
            raise ValueError(f'{models} on {one.result.dataset}: {problem}')
    return [*groups.values()]


def image_names(names: Sequence[str]) -> list[str]:
    """Name images by their stems, or as they are if stems repeat."""
    if len({*names}) < len(names):
        raise ValueError('the same image is in it more than once')
    stems = [PurePath(name).stem for name in names]
    return stems if len({*stems}) == len(stems) else [*names]


def _seeded(rows: Sequence[Measured]) -> bool | None:
    """Whether all trainings had a seed of their config; None if one does not say."""
    seeds = [row.result.settings.get('training_seed', '') for row in rows]
    return None if '' in seeds else None not in seeds


def _other_settings(first: Measured, second: Measured) -> str:
    """Say which setting of the metrics differs; '' if none does."""
    for key in SETTINGS:
        one, other = (row.result.settings.get(key) for row in (first, second))
        if one != other:
            return f'{key} is {one!r} in the first but {other!r} in the second'
    return ''


def _other_images(first: Measured, second: Measured) -> str:
    """Say which images or masks two results do not share; '' if they share all."""
    if odd := sorted(set(first.images.names) ^ set(second.images.names)):
        return (
            f'{len(odd)} images are in one of them only, such as {odd[:3]}: evaluate '
            'both on the same images'
        )
    return _other_masks(first, second)


def _other_masks(first: Measured, second: Measured) -> str:
    """Say which masks of images of the same names differ; '' if none does."""
    one = first.images
    other = second.images
    differ = one.num_pixels != other.num_pixels
    if one.checksums is not None and other.checksums is not None:
        differ = differ | (one.checksums != other.checksums)
    if not differ.any():
        return ''
    return (
        f'{int(differ.sum())} images have other masks in each result, such as '
        f'{one.names[int(np.argmax(differ))]!r}: evaluate both models with the same '
        'masks'
    )
