"""Comparing two models like with like: raw with raw, calibrated with calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
from scipy import stats

from ..common.outputs import check_outputs, write_output
from ..evaluation.result import Result
from ..evaluation.result_files import load_results, strict_json
from ..metrics.bootstrap import ALARM, Difference, differences, resample
from ..metrics.catalogue import SHOWN, metric_of
from ..metrics.image_table import ImageTable

RESAMPLES = 2000
# Figures that are tested by default: over-confidence alone shows drift more surely.
TESTED = (*SHOWN, 'oe', 'ue')
# What a sentence speaks of, if it was measured.
SPOKEN = ('ece_band', 'ece', 'nll', 'acc', 'dice')
FORMAT = 'mmaslp comparison 2'


@dataclass(frozen=True)
class Comparison:
    """Two models on one set, or the means over several trainings of each.

    Attributes:
        first (str): Name of the first model; also ``second``.
        dataset (str): Name of the set.
        calibrated (bool): Whether both probabilities are calibrated.
        images (tuple[int, int]): Number of images of each.
        paired (bool): Whether both were measured on the same images.
        seeds (int): Trainings of each model.
        seeded (bool | None): Whether all trainings were seeded; None if not known.
        figures (dict[str, Difference]): Second minus first.
    """

    first: str
    second: str
    dataset: str
    calibrated: bool
    images: tuple[int, int]
    paired: bool
    seeds: int
    seeded: bool | None
    figures: dict[str, Difference]

    @property
    def worse(self) -> dict[str, float]:
        """dict[str, float]: Those of :func:`worse_figures`, by default."""
        return worse_figures(self.figures)

    def to_json(self) -> dict[str, Any]:
        """Lay it out as its file does."""
        sentence = in_a_sentence(self)
        return {**asdict(self), 'worse': self.worse, 'sentence': sentence}


def compare_results(
    firsts: Sequence[str],
    seconds: Sequence[str],
    *,
    names: tuple[str | None, str | None] = (None, None),
    resamples: int = RESAMPLES,
    json: str | None = None,
    overwrite: bool = False,
) -> list[Comparison]:
    """Compare the models of result files by a bootstrap over their images.

    Rows of one set are compared like with like: raw with raw, calibrated with
    calibrated. On the same images both models draw the same ones (paired); on other
    images each draws its own. Several files of each model are its trainings, in the
    same order, and intervals hold the chance of the training too.

    Args:
        firsts (Sequence[str]): Files of the first model.
        seconds (Sequence[str]): Those of the second.
        names (tuple): Which model to take of files that hold several. Defaults to all.
        resamples (int): Defaults to 2000.
        json (str, optional): File to write. Defaults to None.
        overwrite (bool): Replace a file that is there. Defaults to False.

    Raises:
        ValueError: A file is not a result file, their settings differ, images of one
            name have other masks, no rows match, or ``json`` is one of the files or a
            file of another kind.
    """
    check_outputs({'--json': json}, [*firsts, *seconds], overwrite)
    if len(firsts) != len(seconds):
        raise ValueError(
            f'{len(firsts)} trainings of the first model and {len(seconds)} of the '
            'second: give as many of each, in the order of their seeds'
        )
    rows = [
        [_results(path, name) for path in files]
        for files, name in zip((firsts, seconds), names)
    ]
    found = []

    for pair in _matched(*rows):
        try:
            found.append(compare(*pair, resamples=resamples))
        except ValueError as error:
            raise ValueError(f'{firsts[0]} and {seconds[0]}: {error}') from error
    if json:
        content = {'format': FORMAT, 'comparisons': [own.to_json() for own in found]}
        write_output(json, strict_json(content, 1) + '\n', overwrite)
    return found


def compare(
    firsts: Sequence[Result], seconds: Sequence[Result], resamples: int = RESAMPLES
) -> Comparison:
    """Compare results of two models, one result a training, on one set each."""
    tables = [[sorted_images(result) for result in side] for side in (firsts, seconds)]
    for side, own in zip((firsts, seconds), tables):
        for result, images in zip(side, own):
            problem = (
                other_settings(firsts[0], result)
                or other_images((side[0], own[0]), (result, images))
                or other_masks(own[0], images)
            )
            if problem:
                raise ValueError(f'{side[0].model} and {result.model}: {problem}')

    one = tables[0][0]
    other = tables[1][0]
    paired = one.names == other.names
    if paired and (problem := other_masks(one, other)):
        raise ValueError(problem)
    drawn = [
        [resample(images, resamples, seed=0 if paired else side) for images in own]
        for side, own in enumerate(tables)
    ]
    return Comparison(
        first=firsts[0].model,
        second=seconds[0].model,
        dataset=firsts[0].dataset,
        calibrated=is_calibrated(firsts[0]) and is_calibrated(seconds[0]),
        images=(len(one), len(other)),
        paired=paired,
        seeds=len(firsts),
        seeded=seeded([*firsts, *seconds]),
        figures=differences(*drawn),
    )


def is_calibrated(result: Result) -> bool:
    """Whether a calibrator made the probabilities, as far as the result says."""
    return result.settings.get('calibrator') is not None


def worse_figures(
    figures: Mapping[str, Difference], keys: Sequence[str] = ()
) -> dict[str, float]:
    """Figures of the second model that are worse beyond chance, in standard errors.

    Of two equal networks at most a share :data:`ALARM` has such a figure, by the rule
    of Bonferroni. By default those of :data:`TESTED` are.
    """
    tested = {
        key: figures[key]
        for key in (keys or TESTED)
        if key in figures and metric_of(key).better
    }
    least = stats.norm.isf(ALARM / max(1, len(tested)))
    found = {}

    for key, own in tested.items():
        sign = 1 if metric_of(key).better == 'lower' else -1
        change = sign * own.unbiased
        if np.isnan(change) or change <= 0:
            continue
        size = change / own.error if own.error > 0 else np.inf
        if size > least:
            found[key] = float(min(size, 1e6))
    return found


def in_a_sentence(found: Comparison) -> str:
    """Say what differs beyond chance and what does not."""
    apart = []
    equal = []
    known = [key for key in SPOKEN if key in found.figures]
    if 'ece_band' in known:
        known.remove('ece')
    for key in known:
        own = found.figures[key]
        label = metric_of(key).label
        if np.isnan(own.low):
            continue
        if own.differs:
            side = 'higher' if own.difference > 0 else 'lower'
            apart.append(f'its {label} is {abs(own.difference):.4f} {side}')
        else:
            equal.append(label)

    means = f'in the mean of {found.seeds} trainings ' if found.seeds > 1 else ''
    start = 'With a calibrator, ' if found.calibrated else ''
    names = (found.second, found.first)
    if found.calibrated:
        names = tuple(name.removesuffix(', calibrated') for name in names)
    where = '' if found.paired else ' on other images'
    text = f'{start}{names[0]} against {names[1]}{where} {means}'.strip() + ': '
    parts = [', '.join(apart)] if apart else []
    if equal:
        parts.append(f'differs by less than chance in {_and(equal)}')
    text += '; '.join(parts) if parts else 'too few images to tell'
    if found.seeded is False:
        text += (
            '. The trainings were not seeded, so that another training may tell '
            'something else: set randomness = dict(seed=0)'
        )
    elif found.seeds == 1:
        text += '. The chance of another training is not in it'
    return text + '.'


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f'{", ".join(words[:-1])} and {words[-1]}'


def _results(path: str, name: str | None) -> list[Result]:
    """Results of a file, or those of one of its models."""
    every = load_results(path)
    results = [own for own in every if name in (None, own.model)]
    if not results:
        known = ', '.join(repr(own.model) for own in every)
        raise ValueError(f'{path}: holds results of {known}, not of {name!r} (--name)')
    return results


def _by_set_and_kind(result: Result) -> tuple:
    return result.dataset, is_calibrated(result)


def _by_set_and_model(result: Result) -> tuple:
    return result.dataset, result.model


# Ways to tell which rows belong together, the first that fits: a set is named by its
# folder, which is another one for other images.
MATCHES: tuple[Callable[[Result], Any], ...] = (
    _by_set_and_kind,
    is_calibrated,
    _by_set_and_model,
    lambda result: result.model,
)


def _matched(
    firsts: Sequence[list[Result]], seconds: Sequence[list[Result]]
) -> list[tuple[list[Result], list[Result]]]:
    """Pairs of rows of every training that belong together."""
    every = [*firsts, *seconds]
    for key in MATCHES:
        rows = [{key(own): own for own in results} for results in every]
        unique = all(len(own) == len(results) for own, results in zip(rows, every))
        shared = [name for name in rows[0] if all(name in own for own in rows)]
        if unique and shared:
            number = len(firsts)
            return [
                (
                    [own[name] for own in rows[:number]],
                    [own[name] for own in rows[number:]],
                )
                for name in shared
            ]

    if all(len(results) == 1 for results in every):
        return [([own[0] for own in firsts], [own[0] for own in seconds])]
    listed = (
        ', '.join(f'{own.model} on {own.dataset}' for own in results)
        for results in (firsts[0], seconds[0])
    )
    raise ValueError(
        f'it is not clear which rows belong together: {" / ".join(listed)}; name one '
        'of each (--name)'
    )


def seeded(results: Sequence[Result]) -> bool | None:
    """Whether all trainings had a seed of their config; None if one does not say."""
    known = [result.settings.get('training_seed', '') for result in results]
    if '' in known:
        return None
    return all(seed is not None for seed in known)


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
    problem = other_settings(first, second)
    if problem:
        return problem
    odd = sorted(set(images.names) ^ set(others.names))
    if odd:
        return (
            f'{len(odd)} images are in one of them only, such as {odd[:3]}: evaluate '
            'both models on the same images'
        )
    return ''


def other_settings(first: Result, second: Result) -> str:
    """Say which setting of the figures differs; '' if none does."""
    for key in ('bins', 'mode', 'protocol'):
        pair = [result.settings.get(key) for result in (first, second)]
        if pair[0] != pair[1]:
            return f'{key} is {pair[0]!r} in the first but {pair[1]!r} in the second'
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
