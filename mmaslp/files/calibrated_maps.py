"""Writing calibrated maps, and masks, of a folder of maps."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import torch

from ..calibration.calibrator import Calibrator
from ..common.arguments import check_number
from ..common.outputs import check_outputs, write_output
from .images import write_picture
from .map_pairs import list_files, one_thread, read_or_note
from .names import display_name, raise_problems
from .nnunet_maps import with_foreground
from .prob_maps import (
    ARRAY_SUFFIXES,
    MAP_SUFFIXES,
    MapReader,
    StoredArray,
    nifti_of,
    suffix_of,
    write_prob_map,
)
from .progress import track
from .volumes import is_nifti, nifti_like, stem_of

BITS = 16
# Of nnU-Net, which say what its npz hold.
_DESCRIPTIONS = ('dataset.json', 'plans.json')


def apply_calibrator(
    calibrator: Calibrator,
    maps: str | Path,
    out: str | Path,
    *,
    masks: str | None = None,
    min_object_prob: float | None = None,
    reader: MapReader | None = None,
    workers: int | None = 1,
    overwrite: bool = False,
) -> dict[str, tuple[Path, int]]:
    """Write the calibrated maps of a folder: 16-bit PNG of images, others as read.

    ``masks`` also writes masks into the folder ``{out}_masks``, of images as PNG of 0
    and 255, of volumes and for nnU-Net of 0 and 1: 'keep' the network's decision,
    'accuracy' where the calibrated probability is above 1/2, 'dice' of the largest
    expected Dice. ``min_object_prob`` leaves objects out of 'keep' that are
    real with a smaller probability. Existing files are replaced with ``overwrite``
    only.

    Returns:
        dict[str, tuple[Path, int]]: Folder and number of 'maps' and, if asked for,
        'masks'.

    Raises:
        FileExistsError: An output is there already, and ``overwrite`` is False.
        ValueError: A folder or a file does not serve; or an output is an input; or the
            calibrator cannot tell which objects are real. All maps are read once before
            the first is written.
    """
    if min_object_prob is not None:
        check_number('min_object_prob', min_object_prob, at_least=0, at_most=1)
        if masks != 'keep':
            raise ValueError(
                '--min-object-prob leaves objects out of the masks of the network: '
                'give --masks keep'
            )
        calibrator.check_objects()

    maps = Path(maps)
    reader = reader or MapReader()
    out = Path(out).expanduser()
    job = _Job(calibrator, reader, out, masks, min_object_prob, overwrite)

    problems: list[str] = []
    files = [*list_files(maps, MAP_SUFFIXES, 'map', problems).values()]
    reader.check_options(files)
    outputs = [job.map_file(path) for path in files]
    outputs += [out / name for name in _DESCRIPTIONS if (maps / name).is_file()]
    check_outputs({'--out': outputs}, [maps], overwrite)

    outputs = []
    highest = 0.0
    for path in track(files, 'reading'):
        prob = read_or_note(reader.read, path, problems)
        if prob is None:
            continue
        highest = max(highest, float(prob.max(initial=0)))
        if masks is not None:
            outputs.append(job.mask_file(path, prob.ndim))
    check_outputs({'--masks': outputs}, [maps], overwrite)
    raise_problems(problems, display_name(maps))
    reader.check_highest(highest, files)

    for name in _DESCRIPTIONS:
        if (maps / name).is_file():
            write_output(out / name, (maps / name).read_bytes(), overwrite)

    run = joblib.Parallel(n_jobs=workers, return_as='generator')
    jobs = (joblib.delayed(job.write)(path) for path in files)
    for _ in track(run(jobs), 'writing', len(files)):
        pass
    return {name: (folder, len(files)) for name, folder in job.folders.items()}


@dataclass(frozen=True)
class _Job:
    """What is written of each map, and where."""

    calibrator: Calibrator
    reader: MapReader
    out: Path
    masks: str | None
    min_object_prob: float | None
    overwrite: bool

    @property
    def folders(self) -> dict[str, Path]:
        """By what they hold."""
        found = {'maps': self.out}
        if self.masks is not None:
            named = Path(self.out.absolute())
            found['masks'] = named.with_name(f'{named.name}_masks')
        return found

    def map_file(self, path: Path) -> Path:
        """Where the calibrated map goes."""
        is_array = suffix_of(path) in ARRAY_SUFFIXES
        return self.out / (path.name if is_array else f'{path.stem}.png')

    def mask_file(self, path: Path, axes: int) -> Path:
        """Where the mask goes: NIfTI where the map has one, a volume else as npy."""
        grid = nifti_of(path)
        suffix = '.png' if axes == 2 else '.npy'
        suffix = suffix if grid is None else suffix_of(grid)
        return self.folders['masks'] / f'{stem_of(path)}{suffix}'

    def write(self, path: Path) -> None:
        """Read a map again, and write what was asked for."""
        given = self.reader.read(path)
        with one_thread():
            if self.masks:
                self._write_mask(path, self._mask(given))
            given = self._calibrated(given)
        self._write_map(path, given)

    def _mask(self, given: np.ndarray) -> np.ndarray:
        logits = self.reader.logits
        mask = self.calibrator.masks(given, self.masks or 'keep', logits)
        if self.min_object_prob is None:
            return mask
        objects = self.calibrator.objects(given, logits)
        improbable = objects.label[objects.probability < self.min_object_prob]
        return mask & ~np.isin(objects.labels, improbable).reshape(mask.shape)

    def _calibrated(self, given: np.ndarray) -> np.ndarray:
        if not self.reader.logits:
            return self.calibrator(given)
        logit = torch.from_numpy(self.calibrator.logits(given))
        return torch.sigmoid(logit).numpy()

    def _write_map(self, path: Path, prob: np.ndarray) -> None:
        suffix = suffix_of(path)
        file = self.map_file(path)
        if suffix not in ARRAY_SUFFIXES:
            write_prob_map(file, prob, BITS, self.overwrite)
            return

        prob = self._as_stored(path, prob)
        if is_nifti(path):
            content = nifti_like(path, prob.astype(np.float32, copy=False))
            write_output(file, content, self.overwrite)
            return
        stored = StoredArray.read(path, self.reader.key, with_others=True)
        if suffix == '.npz' and not self.reader.logits and stored.values.ndim == 4:
            channels = stored.values / (self.reader.max_value or 1)
            dataset = self.reader.dataset_of(path)
            prob = with_foreground(channels, prob, self.reader.channel, dataset)
        write_output(file, stored.replaced(prob), self.overwrite)

    def _write_mask(self, path: Path, mask: np.ndarray) -> None:
        file = self.mask_file(path, mask.ndim)
        dataset = self.reader.dataset_of(path)
        pixels = self._as_stored(path, mask).astype(np.uint8)
        grid = nifti_of(path)

        if grid is not None:
            reorient = dataset is not None and dataset.reorient
            content = nifti_like(grid, pixels, reorient)
            write_output(file, content, self.overwrite)
        elif mask.ndim == 2:
            # nnU-Net reads its labels as they are.
            top = np.uint8(255 if dataset is None else 1)
            write_picture(file, pixels * top, self.overwrite)
        else:
            np.save(buffer := io.BytesIO(), pixels)
            write_output(file, buffer.getvalue(), self.overwrite)

    def _as_stored(self, path: Path, values: np.ndarray) -> np.ndarray:
        """Put the axis of the slices back where the file has it."""
        if values.ndim < 3:
            return values
        return np.moveaxis(values, 0, self.reader.slice_axis(path))
