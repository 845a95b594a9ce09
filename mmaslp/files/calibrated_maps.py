"""Writing calibrated maps, and masks, of a folder of maps."""

import shutil
from pathlib import Path

import joblib
import numpy as np
import torch
from PIL import Image

from ..core.calibrators import Calibrator
from .map_folder import list_files
from .map_scale import MapReader
from .names import shown
from .nnunet_maps import write_npz_probability
from .outputs import check_folder
from .prob_maps import MAP_SUFFIXES, write_prob_map
from .progress import track

__all__ = ['apply_calibrator']

BITS = 16


def apply_calibrator(
    calibrator: Calibrator,
    maps: str | Path,
    out: str | Path,
    *,
    masks: str | None = None,
    reader: MapReader | None = None,
    workers: int | None = 1,
) -> dict[str, tuple[Path, int]]:
    """Write the calibrated maps of a folder: PNG of 16 bits, or npz and npy as read.

    Args:
        calibrator (Calibrator): Of the network that made the maps.
        maps (str | Path): Folder of maps.
        out (str | Path): Folder to write to, made if needed; maps in it of the same
            names are replaced.
        masks (str, optional): Write masks of 0 and 255 into the folder ``{out}_masks``:
            'keep' the network's decision, 'accuracy' where the calibrated probability
            is above 1/2, 'dice' of the largest expected Dice. Defaults to None.
        reader (MapReader, optional): How maps are read. Defaults to None: the usual
            way.
        workers (int, optional): Processes, see
            :func:`~mmaslp.files.map_pairs.count_pairs`. Defaults to 1.

    Returns:
        dict[str, tuple[Path, int]]: Folder and number of 'maps' and, if asked for,
        'masks'.

    Raises:
        ValueError: A folder or a file does not serve; or an output is an input. All
            maps are read once before the first is written.
    """
    maps, out, reader = Path(maps), Path(out), reader or MapReader()
    folders = {'maps': out}
    if masks is not None:
        folders['masks'] = out.with_name(f'{out.name}_masks')
    for folder in folders.values():
        check_folder(folder, [maps], '--out')
    problems: list[str] = []
    files = [*list_files(maps, MAP_SUFFIXES, 'map', problems).values()]
    for path in track(files, 'reading'):
        try:
            reader.read(path)
        except OSError as error:
            problems.append(f'{path}: cannot be read ({error.strerror or error})')
        except ValueError as error:
            problems.append(str(error))
    problems += filter(None, [reader.problem()])
    if problems:
        more = f' (and {len(problems) - 1} more like it)' if problems[1:] else ''
        raise ValueError(shown(problems[0]) + more)
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for name in ('dataset.json', 'plans.json'):  # of nnU-Net, which say what npz hold
        if (maps / name).is_file():
            shutil.copyfile(maps / name, out / name)
    run = joblib.Parallel(n_jobs=workers, return_as='generator')
    write = joblib.delayed(_write)
    jobs = (write(calibrator, reader, path, folders, masks) for path in files)
    for _ in track(run(jobs), 'writing', len(files)):
        pass
    return {name: (folder, len(files)) for name, folder in folders.items()}


def _write(
    calibrator: Calibrator,
    reader: MapReader,
    path: Path,
    folders: dict[str, Path],
    masks: str | None,
) -> None:
    """Write one map, and its mask."""
    torch.set_num_threads(1)
    given = reader.read(path)
    logits = reader.logits
    prob = calibrator.logits(given) if logits else calibrator(given)
    prob = _sigmoid(prob) if logits else prob
    kept = given > 0 if logits else given > 0.5
    name, target = path.stem, folders['maps']
    if path.suffix == '.npz' and not logits:
        dataset = reader.dataset_of(path)
        options = dict(key=reader.key, channel=reader.channel, dataset=dataset)
        write_npz_probability(target / path.name, prob, path, **options)
    elif path.suffix in ('.npy', '.npz'):
        np.save(target / f'{name}.npy', prob)
    else:
        write_prob_map(target / f'{name}.png', _rounded(prob, calibrator, kept), BITS)
    if masks is not None:
        _write_mask(folders['masks'] / name, calibrator.masks(given, masks, logits))


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return torch.sigmoid(torch.from_numpy(logit)).numpy()


def _rounded(prob: np.ndarray, calibrator: Calibrator, kept: np.ndarray) -> np.ndarray:
    """Probabilities that a 16-bit map keeps on their side of 1/2."""
    top = 2**BITS - 1
    below, above = (top // 2) / top, (top // 2 + 1) / top  # the values next to 1/2
    side = kept if calibrator.target == 'confidence' else prob > 0.5
    prob = prob.astype(np.float64)
    return np.where(side, np.maximum(prob, above), np.minimum(prob, below))


def _write_mask(path: Path, mask: np.ndarray) -> None:
    if mask.ndim == 2:
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(f'{path}.png')
    else:
        np.save(f'{path}.npy', mask.astype(np.uint8))
