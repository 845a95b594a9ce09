"""Maps and masks of two folders: listed, matched by name, and read."""

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from ..common.arguments import check_path
from ..common.inputs import naming
from .images import IMAGE_SUFFIXES, read_binary_mask
from .names import display_name, raise_problems, some, unpaired
from .nnunet_maps import LABEL_ENDINGS, find_dataset, labels_in, read_label
from .prob_maps import ARRAY_SUFFIXES, MAP_SUFFIXES, MapReader, read_array
from .stored_maps import StoredMap, suffix_of
from .volumes import NIFTI_SUFFIXES, Grid, grid_of, is_nifti, place_text, stem_of

MASK_SUFFIXES = (*IMAGE_SUFFIXES, '.gif', *ARRAY_SUFFIXES)
# What nnU-Net writes beside its maps; its masks too, which may be images.
BESIDE_NPZ = ('.pkl', '.json', '.nii.gz', '.nii')
PREDICT_NPZ = (
    'of nnU-Net give the .npz that --save_probabilities writes (in a training --npz)'
)
DATASET_NPZ = 'if these are from nnU-Net, put its dataset.json next to the maps'
# nnU-Net numbers the channels of a scan; the first one is shown.
FIRST_CHANNEL = '_0000'
# Files of file managers; hidden files are left out too.
LITTER = ('thumbs.db', 'desktop.ini')


def pair_files(
    pred_dir: str | Path, gt_dir: str | Path, suffix: str = ''
) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Match the files of two folders by stem; say which do not match.

    ``suffix`` is what the names of maps end with, and those of masks do not.
    """
    problems: list[str] = []
    preds = list_maps(pred_dir, suffix, problems)
    masks = list_files(gt_dir, MASK_SUFFIXES, 'mask', problems)
    if os.path.realpath(pred_dir) == os.path.realpath(gt_dir):
        raise ValueError(
            f'{pred_dir} and {gt_dir} are the same folder: name one of maps and one of '
            'masks'
        )

    if problems and _are_swapped(pred_dir, gt_dir):
        raise ValueError(
            f'{pred_dir} contains masks, and {gt_dir} the maps of nnU-Net: give the '
            'maps first'
        )

    shared = sorted(preds.keys() & masks.keys())
    with_npz = any(suffix_of(path) == '.npz' for path in preds.values())
    if shared and with_npz and find_dataset(pred_dir):
        # Labels of nnU-Net are those of a whole set.
        alone = sorted(masks.keys() - preds.keys())
        if alone:
            warnings.warn(
                f'{gt_dir}: {len(alone)} of {len(masks)} masks have no map, such as '
                f'{display_name(alone[0])}, and are not used',
                stacklevel=2,
            )
        masks = {stem: masks[stem] for stem in shared}
    problems += unpaired((pred_dir, gt_dir), preds, masks)
    return {stem: (preds[stem], masks[stem]) for stem in shared}, problems


def _are_swapped(pred_dir: str | Path, gt_dir: str | Path) -> bool:
    """Whether maps of nnU-Net lie in the folder of masks, and none in that of maps."""
    in_maps = _NNUNetOutput.of(pred_dir, _entries(pred_dir))
    in_masks = _NNUNetOutput.of(gt_dir, _entries(gt_dir))
    # nnU-Net writes a segmentation beside each map.
    return not in_maps.maps and not in_masks.maps.isdisjoint(in_masks.labels)


def list_maps(folder: str | Path, suffix: str, problems: list[str]) -> dict[str, Path]:
    """List the maps of a folder, see :func:`list_files`."""
    suffixes = [suffix.lower() + ending for ending in MAP_SUFFIXES]
    entries = _entries(folder)
    nnunet = _NNUNetOutput.of(folder, entries)
    maps = [path for path in entries if not nnunet.describes_a_map(path)]
    return _by_stem(folder, maps, suffixes, 'map', problems, nnunet)


def list_files(
    folder: str | Path, suffixes: Sequence[str], what: str, problems: list[str]
) -> dict[str, Path]:
    """List a folder of masks or photographs as {stem: path}.

    All other entries are problems, and ``what`` is their word. Stems are in Unicode's
    form NFC: the file systems of macOS write NFD.
    """
    return _by_stem(folder, _entries(folder), suffixes, what, problems)


def _entries(folder: str | Path) -> list[Path]:
    """What lies in a folder, but for hidden files and those of file managers."""
    entries = []
    for path in sorted(Path(folder).iterdir()):
        if not path.name.startswith('.') and path.name.lower() not in LITTER:
            entries.append(path)
    return entries


@dataclass(frozen=True)
class _NNUNetOutput:
    """What nnU-Net writes beside its maps, as far as it lies in a folder.

    Attributes:
        maps (set[str]): Stems of .npz files.
        labels (set[str]): Stems of files that may be masks.
        endings (tuple[str, ...]): Of files that belong to a map, if there is one.
    """

    maps: set[str]
    labels: set[str]
    endings: tuple[str, ...]

    @classmethod
    def of(cls, folder: str | Path, entries: Sequence[Path]) -> '_NNUNetOutput':
        """Look for it among the entries of a folder."""
        maps = {path.stem for path in entries if suffix_of(path) == '.npz'}
        labels = {
            stem_of(path) for path in entries if path.name.endswith(LABEL_ENDINGS)
        }
        endings: tuple[str, ...] = BESIDE_NPZ
        if maps and find_dataset(folder):
            endings += LABEL_ENDINGS
        return cls(maps, labels, endings)

    def describes_a_map(self, path: Path) -> bool:
        """Whether a file belongs to a map, or to all, and is none itself."""
        name = path.name.lower()
        if not self.maps or not name.endswith(self.endings):
            return False
        return name.endswith('.json') or stem_of(path) in self.maps

    def is_lone_mask(self, path: Path) -> bool:
        """Whether a file is a mask where the maps of other ones lie."""
        is_label = path.name.lower().endswith(LABEL_ENDINGS)
        return is_label and not self.maps.isdisjoint(self.labels)


def _by_stem(
    folder: str | Path,
    entries: Sequence[Path],
    suffixes: Sequence[str],
    what: str,
    problems: list[str],
    nnunet: _NNUNetOutput | None = None,
) -> dict[str, Path]:
    """Files by stem; an entry that is none of them is a problem."""
    endings = f'known endings are {", ".join(suffixes)}'
    files: dict[str, Path] = {}
    for path in entries:
        suffix = _ending(path, suffixes)
        stem = normalize('NFC', path.name[: len(path.name) - len(suffix)])
        if path.is_dir():
            problem = f'a folder among the {what}s; give that folder, or move it away'
        elif not suffix:
            problem = f'not a {what}; {endings}'
            if nnunet is not None and path.name.lower().endswith(BESIDE_NPZ[:2]):
                problem += f'; {PREDICT_NPZ}'
        elif stem in files:
            problem = f'the same name as {files[stem].name}'
            if nnunet is not None and stem in nnunet.maps:
                problem += f'; {DATASET_NPZ}'
            else:
                problem += ': keep one of the two'
        elif nnunet is not None and nnunet.is_lone_mask(path):
            problem = f'a mask without its map; {PREDICT_NPZ}'
        else:
            files[stem] = path
            continue
        problems.append(f'{path}: {problem}')

    if not files and not problems:
        raise ValueError(f'{folder}: contains no {what}; {endings}')
    return files


def _ending(path: Path, suffixes: Sequence[str]) -> str:
    """The ending of a file; '' of one that is not known."""
    name = path.name.lower()
    return next((suffix for suffix in suffixes if name.endswith(suffix)), '')


def find_photos(
    images: str | Path, names: Iterable[str], problems: list[str]
) -> dict[str, Path]:
    """Find the photograph or the scan of each map, by its name.

    What else lies in the folder ``images`` is added to ``problems``.

    Raises:
        ValueError: There is none of any map.
    """
    there = list_files(
        images, (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES), 'photograph', problems
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
            f'`images` {images}',
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
        alone = {name: (path, None) for name, path in listed.items()}
        return cls(alone, display_name(maps), problems)


def read_pair(
    reader: MapReader, pred: Path | StoredMap, gt: Path | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a map and its mask, if there is one, with their slices first.

    Raises:
        ValueError: A file is not usable, or they do not lie at the same place.
    """
    stored = StoredMap.at(pred)
    prob = reader.read(stored)
    if gt is None:
        return prob, None
    if stored.dataset is not None:
        label = read_label(gt, stored.dataset, reader.channel)
    elif suffix_of(gt) in ARRAY_SUFFIXES:
        label = read_binary_array(gt)
    else:
        label = read_binary_mask(gt)
        _check_no_map(prob, stored.path, gt)

    slices = stored.slices_first(label)
    if prob.shape != slices.shape:
        advice = _advice_on_shapes(prob.shape, slices.shape)
        raise ValueError(
            f'{stored.path}: {_size_text(prob)} pixels, but its mask {gt} has '
            f'{_size_text(slices)}: {advice}'
        )

    _check_place(stored, gt, label.shape)
    return prob, slices


def _check_place(stored: StoredMap, gt: Path, shape: tuple[int, ...]) -> None:
    """Refuse a map and a mask of NIfTI that lie at different places in the patient."""
    grid = stored.grid
    if grid is None or not is_nifti(gt):
        return
    of_mask = grid_of(gt, stored.is_reoriented)
    volume = (1, *shape)[-3:]
    is_turned = grid.orientation != of_mask.orientation
    if is_turned or not grid.same_place(volume, of_mask, volume):
        raise ValueError(
            f'{stored.path}: its voxels are not in the same place as those of its '
            f'mask {gt} ({_grid_text(grid)}, and {_grid_text(of_mask)}): save both '
            'with the affine of their image'
        )


def _check_no_map(prob: np.ndarray, pred: Path, gt: Path) -> None:
    """Refuse a copy of a map in the place of its mask.

    The map of a sure network looks like a mask with soft edges.
    """
    if pred.stat().st_size != gt.stat().st_size:
        return
    is_soft = ((prob > 0) & (prob < 1)).any()
    if is_soft and pred.read_bytes() == gt.read_bytes():
        raise ValueError(
            f'{pred}: its mask {gt} is a copy of it, byte by byte: give the mask'
        )


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
        if not values.size:
            raise ValueError(f'has no pixels, its shape is {values.shape}')
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
            raise ValueError(
                f'contains {listed}: a mask is of 0 and 1, or of 0 and 255'
            )
    return (values > 0.5).astype(np.uint8)
