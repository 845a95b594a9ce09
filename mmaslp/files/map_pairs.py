"""Maps and masks of two folders, matched by name; counting them, also in parallel."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import joblib
import numpy as np
import torch

from ..common.arguments import check_path
from ..common.inputs import naming
from .copies import find_copies
from .images import IMAGE_SUFFIXES, check_uncalibrated, read_binary_mask
from .names import display_name, raise_problems, some, unpaired
from .nnunet_maps import LABEL_ENDINGS, find_dataset, labels_in, read_label
from .prob_maps import (
    ARRAY_SUFFIXES,
    MAP_SUFFIXES,
    USUAL,
    MapReader,
    read_array,
    suffix_of,
)
from .progress import track
from .volumes import NIFTI_SUFFIXES, Grid, grid_of, is_nifti, place_text, stem_of

if TYPE_CHECKING:
    from ..calibration.fitting.tables import CalibrationTables

MASK_SUFFIXES = (*IMAGE_SUFFIXES, '.gif', *ARRAY_SUFFIXES)
# What nnU-Net writes beside its maps; its masks too, which may be images.
BESIDE_NPZ = ('.pkl', '.json', '.nii.gz', '.nii')
PREDICT_NPZ = (
    'of nnU-Net give the .npz that --save_probabilities writes (in a training --npz)'
)
DATASET_NPZ = 'if these are of nnU-Net, lay its dataset.json beside the maps'
# nnU-Net numbers the channels of a scan; the first one is shown.
FIRST_CHANNEL = '_0000'
# Files of file managers; hidden files are left out too.
LITTER = ('thumbs.db', 'desktop.ini')
# So far from the cut maps of half precision, as nnU-Net's, may lie beside their masks.
AT_CUT = 1e-3
# Pairs that a process reads before it hands its counts over, which costs as much as a
# few small maps. The number of processes changes nothing.
CHUNK = 16


def pair_files(
    pred_dir: str | Path, gt_dir: str | Path, suffix: str = ''
) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Match the files of two folders by stem; say which do not match.

    ``suffix`` is what the names of maps end with, and those of masks do not.
    """
    problems: list[str] = []
    preds = list_maps(pred_dir, suffix, problems)
    masks = list_files(gt_dir, MASK_SUFFIXES, 'mask', problems)
    if Path(pred_dir).resolve() == Path(gt_dir).resolve():
        raise ValueError(
            f'{pred_dir} and {gt_dir} are the same folder: name one of maps and one of '
            'masks'
        )

    shared = sorted(preds.keys() & masks.keys())
    with_npz = any(suffix_of(path) == '.npz' for path in preds.values())
    if shared and with_npz and find_dataset(pred_dir):
        # Labels of nnU-Net are those of a whole set.
        masks = {stem: masks[stem] for stem in shared}
    problems += unpaired((pred_dir, gt_dir), preds, masks)
    return {stem: (preds[stem], masks[stem]) for stem in shared}, problems


def list_maps(folder: str | Path, suffix: str, problems: list[str]) -> dict[str, Path]:
    """List the maps of a folder, see :func:`list_files`."""
    suffixes = [suffix.lower() + ending for ending in MAP_SUFFIXES]
    return _list(_MapFolder(folder, suffixes, 'map'), problems)


def list_files(
    folder: str | Path, suffixes: Sequence[str], what: str, problems: list[str]
) -> dict[str, Path]:
    """List a folder of masks or photographs as {stem: path}.

    All other entries are problems, and ``what`` is their word. Stems are in Unicode's
    form NFC: the file systems of macOS write NFD.
    """
    return _list(_Folder(folder, suffixes, what), problems)


class _Folder:
    """A folder of files that are known by their endings.

    Args:
        folder (str | Path): Where it is.
        suffixes (Sequence[str]): The endings.
        what (str): What such a file is, in messages.
    """

    def __init__(self, folder: str | Path, suffixes: Sequence[str], what: str) -> None:
        self.folder = folder
        self.suffixes = suffixes
        self.what = what
        self.endings = f'known endings are {", ".join(suffixes)}'
        self.entries: list[Path] = []
        for path in sorted(Path(folder).iterdir()):
            name = path.name.lower()
            if not name.startswith('.') and name not in LITTER:
                self.entries.append(path)

    def suffix(self, path: Path) -> str | None:
        """The ending of a file, None of one that is not known."""
        for suffix in self.suffixes:
            if path.name.lower().endswith(suffix):
                return suffix
        return None

    def belongs_to_another(self, path: Path) -> bool:
        """Whether a file comes with one of the others, and is none itself."""
        return False

    def fault(self, path: Path) -> str:
        """What is wrong with a file whose ending is known; '' if nothing is."""
        return ''

    def hint_of_ending(self, path: Path) -> str:
        """What to do about a file whose ending is not known."""
        return ''

    def hint_of_twin(self, stem: str) -> str:
        """What to do about two files of one stem."""
        return ''


class _MapFolder(_Folder):
    """A folder of maps, which may be of nnU-Net, with what it writes beside them."""

    def __init__(self, folder: str | Path, suffixes: Sequence[str], what: str) -> None:
        super().__init__(folder, suffixes, what)
        self.npz = {path.stem for path in self.entries if suffix_of(path) == '.npz'}
        self.labels = set()
        for path in self.entries:
            if path.name.endswith(LABEL_ENDINGS):
                self.labels.add(stem_of(path))
        self.beside: tuple[str, ...] = BESIDE_NPZ
        if self.npz and find_dataset(folder):
            self.beside += LABEL_ENDINGS

    def belongs_to_another(self, path: Path) -> bool:
        """See :class:`_Folder`."""
        name = path.name.lower()
        if not self.npz or not name.endswith(self.beside):
            return False
        # nnU-Net describes all maps in JSON; the rest belongs to one of them.
        return name.endswith('.json') or stem_of(path) in self.npz

    def fault(self, path: Path) -> str:
        """See :class:`_Folder`."""
        of_nnunet = bool(self.npz & self.labels)
        if of_nnunet and path.name.lower().endswith(LABEL_ENDINGS):
            return f'a mask without its map; {PREDICT_NPZ}'
        return ''

    def hint_of_ending(self, path: Path) -> str:
        """See :class:`_Folder`."""
        is_beside_npz = path.name.lower().endswith(BESIDE_NPZ[:2])
        return f'; {PREDICT_NPZ}' if is_beside_npz else ''

    def hint_of_twin(self, stem: str) -> str:
        """See :class:`_Folder`."""
        return f'; {DATASET_NPZ}' if stem in self.npz else ''


def _list(folder: _Folder, problems: list[str]) -> dict[str, Path]:
    """List the files of a folder by stem; what is none of them is a problem."""
    files: dict[str, Path] = {}
    for path in folder.entries:
        if folder.belongs_to_another(path):
            continue
        if path.is_dir():
            problems.append(
                f'{path}: a folder among the {folder.what}s; give that folder, '
                'or move it away'
            )
            continue

        suffix = folder.suffix(path)
        if suffix is None:
            hint = folder.hint_of_ending(path)
            problems.append(f'{path}: not a {folder.what}; {folder.endings}{hint}')
            continue

        stem = normalize('NFC', path.name[: -len(suffix)])
        fault = folder.fault(path)
        if stem in files:
            twin = files[stem].name
            hint = folder.hint_of_twin(stem)
            problems.append(f'{path}: the same name as {twin}{hint}')
        elif fault:
            problems.append(f'{path}: {fault}')
        else:
            files[stem] = path
    if not files and not problems:
        raise ValueError(
            f'{folder.folder}: holds not one {folder.what}; {folder.endings}'
        )
    return files


def find_photos(
    folder: str | Path, names: Iterable[str], problems: list[str]
) -> dict[str, Path]:
    """Find the photograph or the scan of each map, by its name.

    What else lies in the folder is added to ``problems``.

    Raises:
        ValueError: There is none of any map.
    """
    there = list_files(
        folder, (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES), 'photograph', problems
    )

    photos = {
        name: there[stem]
        for name in names
        for stem in (name + FIRST_CHANNEL, name)
        if stem in there
    }

    if not photos:
        raise_problems(
            [f'there is none of {next(iter(names))}, or of another map', *problems],
            f'--images {folder}',
        )
    return photos


@dataclass(frozen=True)
class MapFiles:
    """Maps to read.

    Attributes:
        pairs (dict): By name the map and its mask, or None without one.
        where (str): Names the folders, in the message about problems.
        problems (list[str]): What was wrong with the folders.
    """

    pairs: Mapping[str, tuple[Path, Path | None]]
    where: str
    problems: list[str]

    @classmethod
    def of(
        cls, maps: str | Path, masks: str | Path | None = None, suffix: str = ''
    ) -> 'MapFiles':
        """List a folder of maps, and match it with one of masks; see `pair_files`."""
        maps = check_path('maps', maps)
        if masks is not None:
            pairs, problems = pair_files(maps, masks, suffix)
            where = f'{display_name(maps)} and {display_name(masks)}'
            return cls(pairs, where, problems)
        problems = []
        listed = list_maps(maps, suffix, problems)
        return cls(
            {key: (path, None) for key, path in listed.items()},
            display_name(maps),
            problems,
        )


def count_files(
    files: MapFiles,
    new_counter: Callable[[], Any],
    add: Callable[..., None],
    reader: MapReader = USUAL,
    *,
    workers: int | None = 1,
    what: str = 'reading',
    chunk: int = CHUNK,
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
        add (Callable): Counts an image, as ``add(counter, name, path, prob, label)``,
            whose label is None without a mask.
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
    """
    names = list(files.pairs)
    jobs = []
    for first in range(0, len(names), chunk):
        pairs = {name: files.pairs[name] for name in names[first : first + chunk]}
        jobs.append(joblib.delayed(_count)(new_counter, add, reader, calibrated, pairs))

    whole = _Counted(new_counter(), add, list(files.problems))
    run = joblib.Parallel(n_jobs=workers, return_as='generator')
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
    _warn_of_copies(files, reader)
    return whole.counter


def _warn_of_copies(files: MapFiles, reader: MapReader) -> None:
    """Say which maps with masks are there twice, under two names.

    Maps of one value may be equal by chance: those of empty scenes.
    """
    with_masks = {}
    for name, (path, mask) in files.pairs.items():
        if mask is not None:
            with_masks[name] = (path, mask)

    copies: dict[str, str] = {}
    for first, *others in find_copies(with_masks):
        prob = reader.read(with_masks[first][0])
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

    def merge(self, other: '_Counted') -> None:
        """Add the maps of another one, which come later."""
        self.counter.merge(other.counter)
        self.problems += other.problems
        self.highest = max(self.highest, other.highest)
        self.first_of_rank = {**other.first_of_rank, **self.first_of_rank}
        self.disagree |= other.disagree

    def add(self, reader: MapReader, name: str, pred: Path, gt: Path | None) -> None:
        """Read and count a pair, and let go of it: a volume is large."""
        prob, label = read_pair(reader, pred, gt)
        self.highest = max(self.highest, float(prob.max(initial=0)))
        self.first_of_rank.setdefault(prob.ndim, pred)
        # One pair is enough: to look takes memory and time.
        if not self.disagree:
            cut = 0 if reader.logits else 0.5
            self.disagree = label is None or not _may_be_cut(prob, label, cut)

        with naming(pred):
            if not self.calibrated:
                check_uncalibrated(pred)
            if not self.problems:  # else only look for more problems
                self.add_to(self.counter, name, pred, prob, label)


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
        warnings.filterwarnings('ignore', 'labels hold 0')
        for name, (pred, gt) in pairs.items():
            try:
                counted.add(reader, name, pred, gt)
            except OSError as error:
                # Not a file of our own that holds what becomes of a map for a while.
                file = (
                    error.filename if error.filename in (str(pred), str(gt)) else pred
                )
                counted.problems.append(
                    f'{file}: cannot be read, or what becomes of it not written '
                    f'({error.strerror or error})'
                )
            except ValueError as error:
                counted.problems.append(str(error))

    return counted


def count_tables(
    files: MapFiles,
    reader: MapReader = USUAL,
    keys: Callable[[Sequence[str]], Sequence[int]] | None = None,
    **options: Any,
) -> 'CalibrationTables':
    """Count maps for a calibrator; other options are those of :func:`count_files`.

    ``keys`` gives the sorted names a number each, such as that of its group; by default
    0, 1, 2, ...
    """
    # Whoever reads maps needs no optimiser.
    from ..calibration.fitting.tables import CalibrationTables

    names = [*files.pairs]
    numbers = dict(zip(names, range(len(names)) if keys is None else keys(names)))
    return count_files(
        files,
        CalibrationTables,
        partial(_add_table, numbers, reader.logits),
        reader,
        what='fitting',
        **options,
    )


def _add_table(
    numbers: Mapping[str, int],
    logits: bool,
    tables: 'CalibrationTables',
    name: str,
    path: Path,
    prob: np.ndarray,
    label: np.ndarray,
) -> None:
    tables.update(prob, label, numbers[name], logits=logits)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch: more slow work on many small arrays down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_pair(
    reader: MapReader, pred: Path, gt: Path | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a map and its mask, if there is one, with their slices first.

    Raises:
        ValueError: A file is not usable, or they do not lie at the same place.
    """
    prob = reader.read(pred)
    if gt is None:
        return prob, None
    dataset = reader.dataset_of(pred)
    if dataset is not None:
        label = read_label(gt, dataset, reader.channel)
    elif suffix_of(gt) in ARRAY_SUFFIXES:
        label = read_binary_array(gt)
    else:
        label = read_binary_mask(gt)

    slices = reader.slices_first(label, pred)
    if prob.shape != slices.shape:
        advice = _advice_on_shapes(prob.shape, slices.shape)
        raise ValueError(
            f'{pred}: {_size_text(prob)} pixels, but its mask {gt} has '
            f'{_size_text(slices)}: {advice}'
        )

    grid = reader.grid_of(pred)
    if is_nifti(gt) and grid is not None:
        reorient = dataset is not None and dataset.reorient
        of_mask = grid_of(gt, reorient)
        shape = (1, *label.shape)[-3:]
        is_turned = grid.orientation != of_mask.orientation
        if is_turned or not grid.same_place(shape, of_mask, shape):
            raise ValueError(
                f'{pred}: its voxels lie elsewhere than those of its mask {gt} '
                f'({_grid_text(grid)}, and {_grid_text(of_mask)}): save both with the '
                'affine of their image'
            )
    return prob, slices


def _advice_on_shapes(shape: tuple[int, ...], of_mask: tuple[int, ...]) -> str:
    """What to do if a map and its mask have these shapes, which differ."""
    if sorted(shape) == sorted(of_mask):
        return (
            'its axes lie in another order. Arrays are read as (D, H, W), as '
            'nnU-Net has them, and nibabel gives (W, H, D): transpose one of '
            'them, and save NIfTI files in one orientation'
        )
    if len(shape) != len(of_mask) and min(*shape, *of_mask) < 5:
        return (
            'save an image as (H, W): drop an axis of length 1, and of channels '
            'save the foreground alone, of two logits the second less the first'
        )
    return 'resize the probabilities to the size of the mask'


def _size_text(values: np.ndarray) -> str:
    """Sides of an array, the width first."""
    return ' x '.join(str(side) for side in values.shape[::-1])


def _grid_text(grid: Grid) -> str:
    """Spacing of a grid, where it begins, and where its axes lead to."""
    spacing = ' x '.join(f'{side:.4g}' for side in grid.spacing[::-1])
    first = place_text(np.array(grid.affine)[:3, 3])
    return f'{spacing} mm from {first} to {grid.orientation}'


def read_binary_array(path: Path) -> np.ndarray:
    """Read a mask of 0 and 1, or of 0 and 255, from a NIfTI, .npy or .npz file.

    Returns:
        np.ndarray: ``(H, W)`` or ``(D, H, W)`` uint8 of {0, 1}.

    Raises:
        ValueError: It holds something else; the message names it.
    """
    with naming(path):
        values = read_array(path)
        if values.ndim == 3 and len(values) == 1:
            values = values[0]
        if values.ndim not in (2, 3) or values.dtype.kind not in 'biuf':
            raise ValueError(
                f'a mask is (H, W) or (D, H, W) of numbers, not {values.dtype} of '
                f'{values.shape}'
            )
        # The scale of a NIfTI file leaves 1 by rounding.
        labels = {round(value, 5) for value in labels_in(values)}

        if not labels <= {0, 1} and not labels <= {0, 255}:
            listed = some([f'{value:g}' for value in sorted(labels)])
            raise ValueError(f'holds {listed}: a mask holds 0 and 1, or 0 and 255')
    return (values > 0.5).astype(np.uint8)
