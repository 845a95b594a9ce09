"""Comparing models like with like: raw with raw, calibrated with calibrated."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import PurePath

import numpy as np

from ..common.arguments import check_bool
from ..common.inputs import naming
from ..common.options import RESAMPLES
from ..files.images import IMAGE_SUFFIXES
from ..files.names import short_names
from ..metrics.bootstrap import Difference, Resamples, differences, jackknife, resample
from ..metrics.chance import Units
from ..metrics.image_table import ImageTable
from .result import CALIBRATED, Result, load_results

# Settings without which metrics of two results cannot be compared.
SETTINGS = ('bins', 'mode', 'protocol')


def _stem(name: str) -> str:
    """The name of an image without its ending; a part of it may look like one."""
    path = PurePath(name)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path.stem
    return path.name


@dataclass(frozen=True)
class Measured:
    """A model on a set: its result, its images sorted by name, resamples of them."""

    result: Result
    resamples: int = RESAMPLES

    @cached_property
    def images(self) -> ImageTable:
        """ImageTable: Named by stem, or by path where stems repeat."""
        names = short_names(self.result.images.names)  # those of a page are short
        if len(set(names)) < len(names):
            raise ValueError(
                f'{self.result.model}, {self.result.dataset}: the same image is in it '
                'more than once: measure each once'
            )
        stems = [_stem(name) for name in names]
        if len(set(stems)) == len(stems):
            names = stems

        order = np.argsort(np.array(names, object), kind='stable').tolist()
        images = self.result.images.take(order)
        return replace(images, names=sorted(names))

    @cached_property
    def drawn(self) -> Resamples:
        """Resamples: The same images for every model of the same images."""
        return self.drawn_by(seed=0)

    def drawn_by(self, seed: int) -> Resamples:
        """Resamples and influences of images, for comparisons."""
        drawn = resample(self.images, self.resamples, seed)
        return replace(drawn, influence=jackknife(self.images))

    def grouped(self, groups: np.ndarray) -> 'Measured':
        """The same with groups of its images, which are sorted by name."""
        before = self.images.groups
        if before is not None and np.array_equal(before, groups):
            return self
        images = self.images.grouped(groups)
        return Measured(replace(self.result, images=images), self.resamples)

    @property
    def measured_on(self) -> tuple:
        """tuple: Equal if settings, images and masks are the same."""
        images = self.images
        settings = tuple(self.result.settings.get(key) for key in SETTINGS)
        masks = images.checksums
        if masks is None:
            masks = images.num_pixels
        contents = (masks.tobytes(), images.num_pixels.tobytes())
        return (settings, tuple(images.names), contents)


@dataclass(frozen=True)
class Comparison:
    """Two models on one set.

    Attributes:
        first (str): Name of the first network; also ``second``.
        dataset (str): Name of the set.
        calibrated (tuple[bool, bool]): Whether the probabilities of each are.
        images (tuple[int, int]): Number of images of each.
        paired (bool): Whether both were measured on the same images.
        metrics (dict[str, Difference]): Second minus first.
        groups (tuple[int, int] | None): Number of groups of images of each, which are
            drawn and counted where they are known.
    """

    first: str
    second: str
    dataset: str
    calibrated: tuple[bool, bool]
    images: tuple[int, int]
    paired: bool
    metrics: dict[str, Difference]
    groups: tuple[int, int] | None = None

    @property
    def units(self) -> Units:
        """Units: What was drawn: images, or groups of them."""
        if self.groups is None:
            first, second = self.images
            return Units(first, second, self.paired)
        first, second = self.groups
        return Units(first, second, self.paired, 'groups')

    @property
    def needed(self) -> int:
        """int: Units that a test of all metrics takes; 0 if it has enough."""
        tests = sum(change.is_tested for change in self.metrics.values())
        if tests == 0 or self.units.can_tell(tests):
            return 0
        return self.units.needed(tests)

    @property
    def titles(self) -> tuple[str, str]:
        """tuple[str, str]: Names of both, which tell them apart."""
        first = self.first
        second = self.second
        if self.calibrated[0]:
            first += CALIBRATED
        if self.calibrated[1]:
            second += CALIBRATED
        if first == second:
            return f'{first} (1)', f'{second} (2)'
        return first, second

    @property
    def of_calibrator(self) -> bool:
        """bool: Whether it tells what the calibrator of one network changes."""
        return self.first == self.second and self.calibrated == (False, True)


def check_alike(first: Result, second: Result) -> None:
    """Refuse results that were measured with other settings."""
    for key in SETTINGS:
        one = first.settings.get(key)
        other = second.settings.get(key)
        if one != other:
            raise ValueError(
                f'{first.model} and {second.model}: {key} is {one!r} in the first but '
                f'{other!r} in the second: measure both alike'
            )


def compare(first: Measured, second: Measured) -> Comparison:
    """Compare two models on one set each.

    On the same images both models draw the same ones (paired); on other images each
    draws its own.

    Raises:
        ValueError: Settings differ, or images of one name have other masks.
    """
    for side in (first, second):
        if type(side) is not Measured or side.resamples != first.resamples:
            raise ValueError('compare takes two Measured(result), of as many resamples')
    check_alike(first.result, second.result)

    paired = first.images.names == second.images.names
    if first.result.dataset == second.result.dataset:
        _check_masks(first, second)
    elif paired:
        # Files of two sets may happen to be named alike, such as 0000.png.
        paired = not _differing_masks(first, second)
    if paired:
        first, second = _grouped_alike(first, second)

    groups = None
    if first.images.groups is not None or second.images.groups is not None:
        groups = (first.images.num_groups, second.images.num_groups)
    comparison = Comparison(
        first=first.result.network,
        second=second.result.network,
        dataset=first.result.dataset,
        calibrated=(first.result.is_calibrated, second.result.is_calibrated),
        images=(len(first.images), len(second.images)),
        paired=paired,
        metrics={},
        groups=groups,
    )
    drawn = second.drawn
    if not paired:
        drawn = second.drawn_by(seed=1)
    metrics = differences(
        first.drawn, drawn, comparison.units, without=first.result.undirected
    )
    return replace(comparison, metrics=metrics)


def _grouped_alike(first: Measured, second: Measured) -> tuple[Measured, Measured]:
    """Give two models of the same images the groups that one of them knows."""
    one = first.images.groups
    other = second.images.groups
    if one is None:
        if other is None:
            return first, second
        return first.grouped(other), second
    if other is not None and not _same_groups(one, other):
        raise ValueError(
            f'{first.result.model} and {second.result.model}: the images are grouped '
            'otherwise in each result: measure both by the same groups'
        )
    return first, second.grouped(one)


def _same_groups(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two numberings of images tell the same groups."""
    pairs = np.unique(np.stack([one, other]), axis=1).shape[1]
    return pairs == len(np.unique(one)) == len(np.unique(other))


def compare_within(results: Sequence[Measured]) -> list[Comparison]:
    """Compare models of the same images, each with its :func:`baselines`."""
    comparisons = []
    for measured in results:
        for baseline in baselines(measured, results):
            comparisons.append(compare(baseline, measured))
    return comparisons


def baselines(measured: Measured, group: Sequence[Measured]) -> list[Measured]:
    """What a model is compared with: the first of its kind, and its raw one."""
    is_calibrated = measured.result.is_calibrated
    alike = [row for row in group if row.result.is_calibrated == is_calibrated]
    raw = [row for row in group if not row.result.is_calibrated]
    first = []
    if measured is not alike[0]:
        first = [alike[0]]
    if not is_calibrated:
        return first

    without = [row for row in raw if row.result.network == measured.result.network]
    if not first and not without:
        without = raw
    return first + without[:1]


def compare_files(
    first: str,
    second: str | None = None,
    resamples: int = RESAMPLES,
    whole: bool = False,
    groups: Callable[[Sequence[str]], Sequence[int]] | None = None,
) -> list[Comparison]:
    """Compare the models of result files by a bootstrap over their images.

    Args:
        first (str): File of the first model.
        second (str, optional): That of the second. Defaults to None: the models of the
            first file are compared with each other.
        resamples (int): Defaults to 1000.
        whole (bool): Refuse rows without a partner in the other file, of which a
            warning tells otherwise. Defaults to False.
        groups (Callable, optional): Numbers images by the group of each, such as a
            patient, from their names. Defaults to None: as the files tell.

    Raises:
        ValueError: A file is not a result file, its results cannot be compared, or it
            is not clear which rows belong together.
    """
    if second is None:
        comparisons = []
        for alike in sets_of_file(first, resamples, groups):
            comparisons += compare_within(alike)
        return comparisons

    rows = _rows_of(first, resamples, groups)
    others = _rows_of(second, resamples, groups)
    with naming(f'{first} and {second}'):
        pairs = match(rows, others, check_bool('whole', whole))
        return [compare(one, other) for one, other in pairs]


def sets_of_file(
    path: str,
    resamples: int = RESAMPLES,
    groups: Callable[[Sequence[str]], Sequence[int]] | None = None,
) -> list[list[Measured]]:
    """Read a result file of several models, by the images that they were measured on.

    The arguments are those of :func:`compare_files`.

    Raises:
        ValueError: No two models can be compared.
    """
    sets = by_images(_rows_of(path, resamples, groups))
    if all(len(alike) == 1 for alike in sets):
        raise ValueError(f'{path} contains one model: name a second file')
    return sets


def _rows_of(
    path: str,
    resamples: int,
    groups: Callable[[Sequence[str]], Sequence[int]] | None,
) -> list[Measured]:
    """Read the results of a file, with groups if some are asked for."""
    rows = []
    for result in load_results(path):
        if groups is not None:
            images = result.images.grouped(groups(result.images.names))
            result = replace(result, images=images)
        rows.append(Measured(result, resamples))
    return rows


# What tells which rows of two files belong together, the first that does: a set is
# named by its folder, which is another one for other images. Without anything, all rows
# are alike, which is of use where there is one.
KEYS = (
    ('dataset', 'is_calibrated'),
    ('is_calibrated',),
    ('dataset', 'model'),
    ('model',),
    (),
)


def _by_key(rows: Sequence[Measured], names: Sequence[str]) -> dict[tuple, Measured]:
    """Rows by some attributes of their results; of rows that are alike, the last."""
    return {tuple(getattr(row.result, name) for name in names): row for row in rows}


def match(
    rows: Sequence[Measured], others: Sequence[Measured], whole: bool = False
) -> list[tuple[Measured, Measured]]:
    """Pair the rows of two files that belong together."""
    for names in KEYS:
        first = _by_key(rows, names)
        second = _by_key(others, names)
        shared = [key for key in first if key in second]
        is_unique = len(first) == len(rows) and len(second) == len(others)
        if is_unique and shared:
            either = first | second
            _tell_left_out([either[key] for key in either if key not in shared], whole)
            return [(first[key], second[key]) for key in shared]

    raise ValueError(
        f'it is not clear which rows belong together: {_listed(rows)} / '
        f'{_listed(others)}; give files of one model each'
    )


def _tell_left_out(rows: Sequence[Measured], whole: bool) -> None:
    """Warn of rows that one file has alone, or refuse them where all are to count."""
    if not rows:
        return
    words = f'in one file alone, so not compared: {_listed(rows)}'
    if whole:
        raise ValueError(words)
    warnings.warn(words, stacklevel=3)


def _listed(rows: Sequence[Measured]) -> str:
    return ', '.join(f'{row.result.model} on {row.result.dataset}' for row in rows)


def by_images(rows: Sequence[Measured]) -> list[list[Measured]]:
    """Group results of the same images and masks, but not one model on two sets.

    Raises:
        ValueError: Two results of one set have other settings, or other masks for
            images of one name.
    """
    groups: dict[tuple, list[Measured]] = {}
    for row in rows:
        key = row.measured_on
        while row.result.model in [other.result.model for other in groups.get(key, [])]:
            key = (*key, 'again')
        groups.setdefault(key, []).append(row)

    sets = list(groups.values())
    for first, second in combinations(sets, 2):
        one = first[0]
        other = second[0]
        same_set = one.result.dataset == other.result.dataset
        if same_set and one.images.names == other.images.names:
            check_alike(one.result, other.result)
            _check_masks(one, other)
    return sets


def _differing_masks(first: Measured, second: Measured) -> list[str]:
    """Names of images whose masks, or ignored pixels, differ between two results."""
    one = first.images
    other = second.images
    names, here, there = np.intersect1d(
        np.array(one.names, object),
        np.array(other.names, object),
        assume_unique=True,
        return_indices=True,
    )
    differ = one.num_pixels[here] != other.num_pixels[there]
    if one.checksums is not None and other.checksums is not None:
        differ |= one.checksums[here] != other.checksums[there]
    return names[differ].tolist()


def _check_masks(first: Measured, second: Measured) -> None:
    """Refuse other masks of images of the same names."""
    differ = _differing_masks(first, second)
    if differ:
        raise ValueError(
            f'{first.result.model} and {second.result.model} on '
            f'{first.result.dataset}: {len(differ)} images have other masks, or '
            f'other ignored pixels, in each result, such as {differ[0]!r}: evaluate '
            'both models with the same masks'
        )
