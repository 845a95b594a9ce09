"""Writing calibrated maps, and masks, of a folder of maps."""

import io
import os
from pathlib import Path

import joblib
import numpy as np
import torch

from ..core.calibrators import Calibrator
from .atomic_write import atomic_write
from .images import write_picture
from .map_pairs import attempt, list_files, one_thread, refuse
from .names import shown
from .nnunet_maps import with_foreground
from .outputs import check_folder
from .prob_maps import MAP_SUFFIXES, MapReader, load_array, write_prob_map
from .progress import track

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

    ``masks`` also writes masks of 0 and 255 into the folder ``{out}_masks``: 'keep' the
    network's decision, 'accuracy' where the calibrated probability is above 1/2, 'dice'
    of the largest expected Dice. Only PNG that mmaslp wrote are replaced.

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
        attempt(reader.read, path, problems)
    problems += filter(None, [reader.problem()])
    refuse(problems, shown(maps))
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for name in ('dataset.json', 'plans.json'):  # of nnU-Net, which say what npz hold
        if (maps / name).is_file():
            _write_new(out / name, (maps / name).read_bytes())
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
    given = reader.read(path)
    logits = reader.logits
    with one_thread():
        prob = calibrator.logits(given) if logits else calibrator(given)
        if logits:
            prob = torch.sigmoid(torch.from_numpy(prob)).numpy()
        mask = masks and calibrator.masks(given, masks, logits)
    name, target, buffer = path.stem, folders['maps'], io.BytesIO()
    if path.suffix == '.npz' and not logits:
        stored = load_array(path, reader.key)
        dataset = reader.dataset_of(path)
        values = with_foreground(stored, prob, reader.channel, dataset)
        values = values.astype(np.float32)
        key = reader.key or 'probabilities'
        np.savez_compressed(buffer, **{key: values})
        _write_new(target / path.name, buffer.getvalue())
    elif path.suffix in ('.npy', '.npz'):
        np.save(buffer, prob)
        _write_new(target / f'{name}.npy', buffer.getvalue())
    else:
        kept = given > 0.5 if calibrator.target == 'confidence' else prob > 0.5
        write_prob_map(target / f'{name}.png', _rounded(prob, kept), BITS)
    if mask is None:
        return
    if mask.ndim == 2:
        pixels = mask.astype(np.uint8) * np.uint8(255)
        write_picture(folders['masks'] / f'{name}.png', pixels)
    else:
        np.save(buffer := io.BytesIO(), mask.astype(np.uint8))
        _write_new(folders['masks'] / f'{name}.npy', buffer.getvalue())


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that cannot say that it is ours, as PNG can: it replaces none."""
    if os.path.lexists(path):
        raise ValueError(f'--out: {path} is there already: remove it, or name another')
    atomic_write(path, data)


def _rounded(prob: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Probabilities that a 16-bit map keeps on their side of 1/2."""
    top = 2**BITS - 1
    below, above = (top // 2) / top, (top // 2 + 1) / top  # the values next to 1/2
    prob = prob.astype(np.float64)
    return np.where(kept, np.maximum(prob, above), np.minimum(prob, below))
