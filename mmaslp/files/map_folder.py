"""Measuring a folder of probability maps against a folder of masks."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from ..core.measure import (
    BandTable,
    CalibrationHistogram,
    ImageTable,
    average_precision,
    roc_auc,
)
from ..core.measure.protocol import apply_protocol, check_protocol
from .checksum import mask_checksum
from .map_scale import MapReader
from .masks import read_binary_mask
from .names import shown
from .prob_maps import MAP_SUFFIXES
from .progress import track
from .results import calibration_result
from .sod_measures import load_library, sod_metrics, sod_record

MASK_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.gif')
# Files of file managers, and hidden files.
LITTER = ('thumbs.db', 'desktop.ini')
# Folders whose name says that they hold masks, and not of what.
_MASKS = re.compile('(gts?|masks?|labels?|ground_?truths?|annotations?)', re.IGNORECASE)
# How many problems one message lists; it only counts the others.
MAX_LISTED = 40


def evaluate_maps(
    pred_dir: str | Path,
    gt_dir: str | Path,
    *,
    bins: int = 10,
    protocol: str = 'raw',
    sod: bool = False,
    resamples: int = 1000,
    max_value: float | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Measure every map of a folder.

    Maps and masks are matched by the stem of their names. All files must fit. All
    problems are collected and raised in one error.

    Args:
        pred_dir (str | Path): Folder of probability maps, see
            :func:`~mmaslp.files.prob_maps.read_prob_map`.
        gt_dir (str | Path): Folder of masks, see
            :func:`~mmaslp.files.masks.read_binary_mask`.
        bins (int): Number of bins. Defaults to 10.
        protocol (str): 'raw' or 'released'. Defaults to 'raw'.
        sod (bool): Also compute the salient-object measures. Defaults to False.
        resamples (int): Bootstrap resamples. Defaults to 1000.
        max_value (float, optional): The stored value that stands for probability 1.
            Defaults to None: 255, 65535 or 1, by the kind of file; then a set whose
            largest value speaks for another scale is refused.
        model (str, optional): Its name. Defaults to None: that of the folder of maps.

    Returns:
        dict: The result, see :func:`~mmaslp.files.results.calibration_result`, with the
        SOD measures as ``measures``.

    Raises:
        ValueError: A folder or file is not usable; the message lists all problems.
        ImportError: ``sod`` without PySODMetrics.
    """
    check_protocol(protocol)
    if sod:
        load_library()
    pairs, problems = pair_files(pred_dir, gt_dir)
    total, records, sod_records = CalibrationHistogram(), [], []
    reader = MapReader(max_value)
    for stem, (pred, gt) in track(pairs.items(), f'measuring {shown(pred_dir)}'):
        prob, label = _read_pair(reader, pred, gt, problems)
        if problems:
            continue  # no result will be reported: only look for more problems
        prob = apply_protocol(prob, protocol)
        image = CalibrationHistogram()
        image.update(prob, label)
        total.merge(image)
        bands = BandTable()
        bands.update(prob, label)
        mask = mask_checksum(label)
        records.append(ImageTable.record(stem, image, bins, bands=bands, mask=mask))
        if sod:
            sod_records.append(sod_record(prob, label))
    if not problems and (problem := reader.problem()):
        problems.append(problem)
    if problems:
        raise ValueError(_listing(problems, pred_dir, gt_dir))
    result = calibration_result(
        total,
        ImageTable(records, bins),
        bins=bins,
        resamples=resamples,
        settings={
            'protocol': protocol,
            'max_value': max_value,
            'pred_dir': str(pred_dir),
            'gt_dir': str(gt_dir),
        },
        model=model or Path(pred_dir).resolve().name,
        dataset=set_name(gt_dir),
    )
    if sod:
        scores = total.score_table('positive')
        result['measures'] = {
            **sod_metrics(sod_records),
            'ap': average_precision(scores),
            'auc': roc_auc(scores),
        }
    return result


def set_name(gt_dir: str | Path) -> str:
    """Name a set by its folder of masks; by the one above if that just says masks.

    Args:
        gt_dir (str | Path): The folder of masks.

    Example:
        >>> set_name('/data/ECSSD/gt'), set_name('/data/DUTS-TE-Mask')
        ('ECSSD', 'DUTS-TE-Mask')
    """
    folder = Path(gt_dir).resolve()
    named = [each.name for each in (folder, *folder.parents) if each.name]
    return next((name for name in named if not _MASKS.fullmatch(name)), folder.name)


def read_images(
    pred_dir: str | Path,
    gt_dir: str | Path,
    stems: Collection[str],
    protocol: str = 'raw',
    max_value: float | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Read some maps of a folder again, with their masks.

    Args:
        pred_dir (str | Path): Folder of maps.
        gt_dir (str | Path): Folder of masks.
        stems (Collection[str]): Names without suffixes.
        protocol (str): See :func:`evaluate_maps`. Defaults to 'raw'.
        max_value (float, optional): See there. Defaults to None.

    Returns:
        dict[str, dict]: By stem: ``prob`` ``(H, W)`` uint16 in units of 1 / 65535 and
        ``label`` ``(H, W)`` uint8.

    Raises:
        ValueError: A file has gone, or has changed and is not usable any more.
    """
    pairs, problems = pair_files(pred_dir, gt_dir)
    reader, images = MapReader(max_value), {}
    for stem in stems:
        if stem not in pairs:
            raise ValueError(f'{stem}: neither {pred_dir} nor {gt_dir} may change')
        prob, label = _read_pair(reader, *pairs[stem], problems)
        if prob is None or label is None or prob.shape != label.shape:
            raise ValueError(_listing(problems, pred_dir, gt_dir))
        prob = np.asarray(apply_protocol(prob, protocol))
        images[stem] = {
            'prob': np.rint(prob * 65535).astype(np.uint16),
            'label': label.astype(np.uint8),
        }
    return images


def pair_files(
    pred_dir: str | Path, gt_dir: str | Path
) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Match the files of two folders by stem.

    Args:
        pred_dir (str | Path): Folder of maps.
        gt_dir (str | Path): Folder of masks.

    Returns:
        tuple[dict, list[str]]: {stem: (map, mask)} in the order of the stems, and one
        sentence per entry that cannot be matched.

    Raises:
        ValueError: A folder is missing, unreadable or empty, or both are the same.
    """
    pred_dir, gt_dir = Path(pred_dir), Path(gt_dir)
    problems: list[str] = []
    preds = list_files(pred_dir, MAP_SUFFIXES, 'map', problems)
    masks = list_files(gt_dir, MASK_SUFFIXES, 'mask', problems)
    if pred_dir.resolve() == gt_dir.resolve():
        raise ValueError(f'{pred_dir} and {gt_dir} are the same folder')
    for stem in sorted(preds.keys() - masks.keys()):
        problems.append(f'{preds[stem]}: no mask of this name in {gt_dir}')
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
    except OSError as error:
        raise ValueError(
            f'{folder}: the folder of {what}s cannot be listed ({error.strerror})'
        ) from error
    found: dict[str, Path] = {}
    for path in entries:
        if path.name.startswith('.') or path.name.lower() in LITTER:
            continue
        if _is_folder(path):
            problems.append(f'{path}: a folder among the {what}s; name it itself')
        elif path.suffix.lower() not in suffixes:
            problems.append(
                f'{path}: not a {what}; known endings are {", ".join(suffixes)}'
            )
        elif (stem := normalize('NFC', path.stem)) in found:
            problems.append(f'{path}: the same name as {found[stem].name}')
        else:
            found[stem] = path
    if not found and not problems:
        raise ValueError(f'{folder}: there are no {what}s in this folder')
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a loop of links: reading it gives the error
        return False


def _read_pair(
    reader: MapReader, pred: Path, gt: Path, problems: list[str]
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Read a map and its mask; add what is wrong to the problems."""
    read = []
    for path, read_one in ((pred, reader.read), (gt, read_binary_mask)):
        try:
            read.append(read_one(path))
        except OSError as error:
            problems.append(f'{path}: cannot be read ({error.strerror})')
        except ValueError as error:
            problems.append(str(error))
    if len(read) == 2 and read[0].shape != read[1].shape:
        problems.append(
            f'{pred}: {_size(read[0])} pixels, but its mask {gt} has '
            f'{_size(read[1])}: resize the probabilities to the size of the mask'
        )
    return (read[0], read[1]) if len(read) == 2 else (None, None)


def _size(array: np.ndarray) -> str:
    return f'{array.shape[1]} x {array.shape[0]}'


def _listing(problems: list[str], pred_dir: str | Path, gt_dir: str | Path) -> str:
    """One message for all problems."""
    folders = f'{shown(pred_dir)} and {shown(gt_dir)}'
    lines = [f'{len(problems)} problem(s) with {folders}:']
    lines += [f'  - {shown(problem)}' for problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        lines.append(f'  ... and {len(problems) - MAX_LISTED} more')
    return '\n'.join(lines)
