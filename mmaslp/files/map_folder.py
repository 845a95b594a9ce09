"""The files of a folder of probability maps, and their masks, matched by name."""

from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from .prob_maps import MAP_SUFFIXES

__all__ = ['MASK_SUFFIXES', 'list_files', 'pair_files']

MASK_SUFFIXES = (
    '.png',
    '.jpg',
    '.jpeg',
    '.bmp',
    '.tif',
    '.tiff',
    '.gif',
    '.nii.gz',
    '.nii',
)
# Files of file managers, and hidden files.
LITTER = ('thumbs.db', 'desktop.ini')


def pair_files(
    pred_dir: str | Path, gt_dir: str | Path
) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Match the files of two folders by stem."""
    pred_dir, gt_dir = Path(pred_dir), Path(gt_dir)
    problems: list[str] = []
    preds = list_files(pred_dir, MAP_SUFFIXES, 'map', problems)
    masks = list_files(gt_dir, MASK_SUFFIXES, 'mask', problems)
    if pred_dir.resolve() == gt_dir.resolve():
        raise ValueError(f'{pred_dir} and {gt_dir} are the same folder')
    for stem in sorted(preds.keys() - masks.keys()):
        problems.append(f'{preds[stem]}: no mask of this name in {gt_dir}')
    if any(path.suffix == '.npz' for path in preds.values()):
        masks = {stem: masks[stem] for stem in masks if stem in preds}  # of a whole set
    for stem in sorted(masks.keys() - preds.keys()):
        problems.append(f'{masks[stem]}: no map of this name in {pred_dir}')
    both = sorted(preds.keys() & masks.keys())
    return {stem: (preds[stem], masks[stem]) for stem in both}, problems


def list_files(
    folder: Path, suffixes: Sequence[str], what: str, problems: list[str]
) -> dict[str, Path]:
    """List a folder as {stem: path}; all other entries are problems.

    Stems are in Unicode's form NFC: the file systems of macOS write NFD.
    """
    try:
        entries = sorted(folder.iterdir())
        if what == 'map':
            entries = _without_companions(entries)
    except OSError as error:
        raise ValueError(
            f'{folder}: the folder of {what}s cannot be listed ({error.strerror})'
        ) from error
    found: dict[str, Path] = {}
    for path in entries:
        if path.name.startswith('.') or path.name.lower() in LITTER:
            continue
        suffix = next((s for s in suffixes if path.name.lower().endswith(s)), None)
        if _is_folder(path):
            problems.append(f'{path}: a folder among the {what}s; name it itself')
        elif suffix is None:
            problems.append(
                f'{path}: not a {what}; known endings are {", ".join(suffixes)}'
            )
        elif (stem := normalize('NFC', path.name[: -len(suffix)])) in found:
            problems.append(f'{path}: the same name as {found[stem].name}')
        else:
            found[stem] = path
    if not found and not problems:
        raise ValueError(f'{folder}: there are no {what}s in this folder')
    return found


def _without_companions(entries: list[Path]) -> list[Path]:
    """Leave out what nnU-Net writes beside its ``.npz`` maps."""
    npz = {path.stem for path in entries if path.suffix == '.npz'}
    return [
        path
        for path in entries
        if path.suffix == '.npz'
        or not npz
        or (path.name.split('.')[0] not in npz and path.suffix not in ('.pkl', '.json'))
    ]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a loop of links: reading it gives the error
        return False
