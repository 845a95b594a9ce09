"""Counting the pairs of a folder of maps and one of masks, in several processes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib
import numpy as np
import torch

from .map_folder import pair_files
from .map_scale import MapReader
from .masks import read_binary_mask
from .names import shown
from .nnunet_maps import read_label
from .progress import track

__all__ = ['Counter', 'count_pairs', 'read_pair']

# Pairs that a process reads before it hands its counts over.
CHUNK = 64
# How many problems one message lists; it only counts the others.
MAX_LISTED = 40


class Counter(Protocol):
    """Counts pixels image by image; parts merge exactly."""

    def add(self, name: str, key: int, prob: np.ndarray, label: np.ndarray) -> None:
        """Count an image: its name, its number, probabilities (or logits), labels."""

    def merge(self, other: Any) -> None:
        """Add the images of another one, which come after those of this one."""


_Counter = TypeVar('_Counter', bound=Counter)


@dataclass
class _Part:
    """What a process hands over."""

    counter: Any
    reader: MapReader
    problems: list[str] = field(default_factory=list)


def count_pairs(
    pred_dir: str | Path,
    gt_dir: str | Path,
    new_counter: Callable[[], _Counter],
    reader: MapReader | None = None,
    *,
    keys: Callable[[Sequence[str]], Sequence[int]] | None = None,
    workers: int | None = 1,
    what: str = 'reading',
) -> _Counter:
    """Count every map of a folder against its mask.

    The result is the same, bit by bit, for any number of processes: the parts merge in
    the order of the names.

    Args:
        pred_dir (str | Path): Folder of maps.
        gt_dir (str | Path): Folder of masks of the same names.
        new_counter (Callable): Makes an empty counter; picklable for several processes.
        reader (MapReader, optional): How maps are read. Defaults to None: the usual
            way.
        keys (Callable, optional): From the sorted names to a number for each, such as
            that of its group. Defaults to None: 0, 1, 2, ...
        workers (int, optional): Processes. None takes the backend of
            ``joblib.parallel_config``, such as Dask. Defaults to 1.
        what (str): What is going on, for the progress bar. Defaults to 'reading'.

    Returns:
        Counter: Of all images.

    Raises:
        ValueError: A folder or a file is not usable; the message lists all problems.
    """
    pairs, problems = pair_files(pred_dir, gt_dir)
    numbers = range(len(pairs)) if keys is None else keys([*pairs])
    items = [(name, key, *pair) for (name, pair), key in zip(pairs.items(), numbers)]
    chunks = [items[k : k + CHUNK] for k in range(0, len(items), CHUNK)]
    total = _Part(new_counter(), copy.deepcopy(reader or MapReader()), problems)
    empty = copy.deepcopy(total.reader)
    if workers == 1:
        _count(total, track(items, what))
    else:
        run = joblib.Parallel(n_jobs=workers, return_as='generator')
        jobs = (joblib.delayed(_count_chunk)(new_counter, empty, c) for c in chunks)
        for part in track(run(jobs), what, len(chunks)):
            total.counter.merge(part.counter)
            total.reader.merge(part.reader)
            total.problems += part.problems
    if not total.problems and (problem := total.reader.problem()):
        total.problems.append(problem)
    if total.problems:
        raise ValueError(_listing(total.problems, pred_dir, gt_dir))
    return total.counter


def _count_chunk(
    new_counter: Callable[[], _Counter], reader: MapReader, items: list[tuple]
) -> _Part:
    """In another process: one thread, since every process has a core."""
    torch.set_num_threads(1)
    part = _Part(new_counter(), reader)
    _count(part, items)
    return part


def _count(part: _Part, items: Any) -> None:
    for name, key, pred, gt in items:
        before = len(part.problems)
        prob = _attempt(part.reader.read, pred, part.problems)
        label = _attempt(partial(_read_label, part.reader, pred), gt, part.problems)
        if len(part.problems) > before:
            continue
        try:
            _check_sizes(pred, prob, gt, label)
            if not part.problems:  # else only look for more problems
                part.counter.add(name, key, prob, label)
        except ValueError as error:
            text = str(error)
            part.problems.append(text if str(pred) in text else f'{pred}: {text}')


def _attempt(read: Callable[[Path], Any], path: Path, problems: list[str]) -> Any:
    """Read a file, or add what is wrong with it to the problems."""
    try:
        return read(path)
    except OSError as error:
        problems.append(f'{path}: cannot be read ({error.strerror or error})')
    except ValueError as error:
        problems.append(str(error))
    return None


def read_pair(reader: MapReader, pred: Path, gt: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a map and its mask."""
    prob, label = reader.read(pred), _read_label(reader, pred, gt)
    _check_sizes(pred, prob, gt, label)
    return prob, label


def _read_label(reader: MapReader, pred: Path, gt: Path) -> np.ndarray:
    dataset = reader.dataset_of(pred)
    if dataset is not None or gt.name.endswith(('.nii', '.nii.gz')):
        return read_label(gt, reader.channel, dataset)
    return read_binary_mask(gt)


def _check_sizes(pred: Path, prob: np.ndarray, gt: Path, label: np.ndarray) -> None:
    if prob.shape != label.shape:
        raise ValueError(
            f'{pred}: {_size(prob)} pixels, but its mask {gt} has {_size(label)}: '
            'resize the probabilities to the size of the mask'
        )


def _size(array: np.ndarray) -> str:
    return ' x '.join(map(str, array.shape[::-1]))


def _listing(problems: list[str], pred_dir: str | Path, gt_dir: str | Path) -> str:
    """One message for all problems."""
    folders = f'{shown(pred_dir)} and {shown(gt_dir)}'
    lines = [f'{len(problems)} problem(s) with {folders}:']
    lines += [f'  - {shown(problem)}' for problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        lines.append(f'  ... and {len(problems) - MAX_LISTED} more')
    return '\n'.join(lines)
