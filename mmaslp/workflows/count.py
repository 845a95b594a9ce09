"""Counting the maps of a folder, each of which is read once, also in parallel."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

from ..calibration.calibrator import Calibrator
from ..common.inputs import naming
from ..common.maps import cut_of
from ..common.outputs import OF_FULL_DISK
from ..files.copies import find_copies
from ..files.images import check_uncalibrated
from ..files.map_pairs import MapFiles, read_pair
from ..files.names import display_name, raise_problems
from ..files.nnunet_maps import NNUNetDataset
from ..files.prob_maps import USUAL, MapReader
from ..files.progress import track
from ..files.stored_maps import StoredMap
from ..files.volumes import is_nifti

# So far from the cut maps of half precision, as nnU-Net's, may lie beside their masks.
AT_CUT = 1e-3
# Pairs that a process reads before it hands its counts over, which costs as much as a
# few small maps. The number of processes changes nothing.
PAIRS_AT_ONCE = 16


def count_files(
    files: MapFiles,
    new_counter: Callable[[], Any],
    add: Callable[..., None],
    reader: MapReader = USUAL,
    *,
    workers: int | None = 1,
    what: str = 'reading',
    chunk: int = PAIRS_AT_ONCE,
    calibrated: bool = False,
) -> Any:
    """Count every map against its mask, if there is one; each file is read once.

    The result is the same, bit by bit, for any number of processes: the parts merge in
    the order of the names.

    Args:
        files (MapFiles): The maps.
        new_counter (Callable): Makes an empty counter, for several processes a
            picklable one. Its ``merge(other)`` adds the images of another one, which
            come later.
        add (Callable): Counts an image, as ``add(counter, name, stored, prob,
            label)``, with its :class:`~mmaslp.files.stored_maps.StoredMap`; the label
            is None without a mask.
        reader (MapReader): How maps are read. Defaults to the usual way.
        workers (int, optional): Processes. None takes the backend of
            ``joblib.parallel_config``, such as Dask. Defaults to 1.
        what (str): What is going on, for the progress bar.
        chunk (int): Maps that a process reads before it hands its counts
            over. Defaults to 16.
        calibrated (bool): Whether maps that a calibrator made are read too. Defaults to
            False.

    Raises:
        ValueError: A folder or a file is not usable, images and volumes are mixed, or
            an option of the reader cannot be right; the message lists all problems.
        OSError: The disk is full, for a counter that writes.
    """
    names = list(files.pairs)
    jobs = []
    for first in range(0, len(names), chunk):
        pairs = {name: files.pairs[name] for name in names[first : first + chunk]}
        jobs.append(joblib.delayed(_count)(new_counter, add, reader, calibrated, pairs))

    whole = _Counted(new_counter(), add, list(files.problems))
    run = joblib.Parallel(n_jobs=workers, return_as='generator')
    with one_thread():  # jobs in threads of this process restore it in any order
        for part in track(run(jobs), what, len(jobs)):
            whole.merge(part)

    if len(whole.first_of_rank) > 1:
        whole.problems.append(
            f'{whole.first_of_rank[2]} is an image and {whole.first_of_rank[3]} a '
            'volume: keep them apart'
        )
    raise_problems(whole.problems, files.where)
    reader.check_highest(whole.highest, [path for path, _ in files.pairs.values()])
    if not whole.disagree and whole.highest > 0.5:
        warnings.warn(
            f'{files.where}: every pixel is right, as if these masks were cut from the '
            'maps: give true masks',
            stacklevel=2,
        )
    if whole.unplaced:
        warnings.warn(
            f'{files.where}: {whole.unplaced} of {len(names)} maps do not say where '
            'their voxels lie, so nobody checked that their masks lie there too (of '
            'nnU-Net, put the .nii.gz of each prediction beside its .npz)',
            stacklevel=2,
        )
    _warn_of_copies(files, reader)
    return whole.counter


def foreground_of(files: MapFiles, reader: MapReader) -> str | None:
    """Name of the foreground that maps of nnU-Net are read for; None of others."""
    dataset = _dataset_of(files)
    if dataset is None:
        return None
    return dataset.foregrounds[dataset.index(reader.channel)]


def check_foreground(
    calibrator: Calibrator, files: MapFiles, reader: MapReader
) -> None:
    """Refuse maps of another foreground than that of the fit, where both are known.

    Two data sets may give one foreground two names: that is a warning.
    """
    of_fit = calibrator.fit_record.foreground_name
    dataset = _dataset_of(files)
    if of_fit is None or dataset is None:
        return
    name = foreground_of(files, reader)
    if name == of_fit:
        return
    problem = (
        f'{files.where}: these are maps of {name!r}, and the calibrator was fitted to '
        f'{of_fit!r}'
    )
    if of_fit in dataset.foregrounds.values():
        raise ValueError(
            f'{problem}: give `channel={of_fit!r}`, or fit a calibrator to {name!r}'
        )
    warnings.warn(f'{problem}: check that both are the same', stacklevel=3)


def _dataset_of(files: MapFiles) -> NNUNetDataset | None:
    """What nnU-Net says of the maps of a folder, by the first one."""
    for path, _ in files.pairs.values():
        return StoredMap(path).dataset
    return None


def _warn_of_copies(files: MapFiles, reader: MapReader) -> None:
    """Say which maps with masks are there twice, under two names, whatever the masks.

    Maps of one value may be equal by chance: those of empty scenes.
    """
    with_masks = {}
    for name, (path, mask) in files.pairs.items():
        if mask is not None:
            with_masks[name] = path

    copies: dict[str, str] = {}
    for first, *others in find_copies(with_masks):
        prob = reader.read(with_masks[first])
        if prob.min() < prob.max():
            copies |= dict.fromkeys(others, first)
    if copies:
        copy, original = next(iter(copies.items()))
        warnings.warn(
            f'{files.where}: {len(copies)} of {len(files.pairs)} images are copies of '
            f'others under other names, such as {display_name(copy)} of '
            f'{display_name(original)}: they count as images of their own, so that '
            'intervals are too narrow: keep one of each',
            stacklevel=3,
        )


@dataclass
class _Counted:
    """What was counted of some maps, and what all maps of a set must agree in."""

    counter: Any
    add_to: Callable[..., None]
    problems: list[str] = field(default_factory=list)
    highest: float = 0.0
    first_of_rank: dict[int, Path] = field(default_factory=dict)
    disagree: bool = False
    calibrated: bool = False
    unplaced: int = 0  # beside masks that say where they lie

    def merge(self, other: '_Counted') -> None:
        """Add the maps of another one, which come later."""
        self.counter.merge(other.counter)
        self.problems += other.problems
        self.highest = max(self.highest, other.highest)
        self.first_of_rank = {**other.first_of_rank, **self.first_of_rank}
        self.disagree |= other.disagree
        self.unplaced += other.unplaced

    def add(self, reader: MapReader, name: str, pred: Path, gt: Path | None) -> None:
        """Read and count a pair, and let go of it: a volume is large."""
        stored = StoredMap(pred)
        prob, label = read_pair(reader, stored, gt)
        self.highest = max(self.highest, float(prob.max(initial=0)))
        self.first_of_rank.setdefault(prob.ndim, pred)
        if gt is not None and is_nifti(gt) and stored.grid is None:
            self.unplaced += 1
        # One pair is enough: to look takes memory and time.
        if not self.disagree:
            cut = cut_of(reader.logits)
            self.disagree = label is None or not _may_be_cut(prob, label, cut)

        with naming(pred):
            if not self.calibrated:
                check_uncalibrated(pred)
            if not self.problems:  # else only look for more problems
                self.add_to(self.counter, name, stored, prob, label)


def _may_be_cut(prob: np.ndarray, label: np.ndarray, cut: float) -> bool:
    """Whether a mask is what its map gives, so that it may have been cut from it."""
    if not (label < 2).any():  # no pixel of it counts
        return False
    if max(prob.max() - cut, cut - prob.min()) <= AT_CUT:
        return False  # no mask is cut from a map that lies at the cut everywhere
    is_missed = (prob > cut + AT_CUT)[label == 0].any()
    is_lost = (prob < cut - AT_CUT)[label == 1].any()
    return not (is_missed or is_lost)


def _count(
    new_counter: Callable[[], Any],
    add: Callable[..., None],
    reader: MapReader,
    calibrated: bool,
    pairs: Mapping[str, tuple[Path, Path | None]],
) -> _Counted:
    """Count some pairs, in this process or in another one."""
    counted = _Counted(new_counter(), add, calibrated=calibrated)
    with one_thread(), warnings.catch_warnings():
        # Files of 0 and 255 are read as 0 and 1.
        warnings.filterwarnings('ignore', 'labels contain 0')
        for name, (pred, gt) in pairs.items():
            try:
                counted.add(reader, name, pred, gt)
            except OSError as error:
                if error.errno in OF_FULL_DISK:
                    raise  # no other map fares better
                # Not a file of our own that holds what becomes of a map for a while.
                file = pred
                if gt is not None and error.filename == str(gt):
                    file = gt
                counted.problems.append(
                    f'{file}: cannot be read, or what becomes of it not written '
                    f'({error.strerror or error})'
                )
            except ValueError as error:
                counted.problems.append(str(error))

    return counted


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch: more slow work on many small arrays down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
