"""Writing calibrated maps, and masks, of a folder of maps."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch

from ..calibration.calibrator import Calibrator, loaded
from ..calibration.estimates import ImageEstimate, ObjectTable
from ..calibration.sets import TooFewImages
from ..common.arguments import check_choice, check_number, check_path, optional
from ..common.inputs import sha256_of
from ..common.maps import kind_of, mask_of
from ..common.options import MASKS
from ..common.outputs import (
    OF_FULL_DISK,
    check_outputs,
    move_output,
    resolved_folder,
    write_output,
)
from ..files.images import CALIBRATED, MARK, marked_arrays, png_of
from ..files.map_pairs import MapFiles
from ..files.names import warn_of_others
from ..files.nnunet_maps import with_foreground
from ..files.prob_maps import (
    ARRAY_SUFFIXES,
    NNUNET_KEY,
    USUAL,
    MapReader,
    load_array,
    quantised,
)
from ..files.stored_maps import StoredMap, suffix_of
from ..files.volumes import is_nifti, nifti_like, stem_of
from .count import check_foreground, count_files

# Of nnU-Net, which say what its npz hold.
_DESCRIPTIONS = ('dataset.json', 'plans.json')


def apply_calibrator(
    calibrator: Calibrator,
    maps: str | Path,
    out: str | Path,
    *,
    masks: str | None = None,
    min_object_prob: float | None = None,
    reader: MapReader = USUAL,
    workers: int | None = 1,
    overwrite: bool = False,
    calibrator_file: str | Path | None = None,
    groups: Callable[[Sequence[str]], Sequence[int]] | None = None,
) -> dict[str, tuple[Path, int]]:
    """Write the calibrated maps of a folder: 16-bit PNG of images, others as read.

    ``masks`` also writes masks into the folder ``{out}_masks``, of images as PNG of 0
    and 255, of volumes and for nnU-Net of 0 and 1: 'keep' the network's decision,
    'accuracy' where the calibrated probability is above 1/2, 'dice' of the largest
    expected Dice. ``min_object_prob`` leaves objects out of 'keep' that are
    real with a smaller probability; the maps are compared as a set with the images of
    the fit then, by ``groups`` that a function numbers from their names, if it is
    given. Existing files are replaced with ``overwrite`` only, and ``calibrator_file``,
    which the calibrator was read from, never.

    Returns:
        dict[str, tuple[Path, int]]: Folder and number of 'maps' and, if asked for,
        'masks'.

    Raises:
        FileExistsError: An output is there already, and ``overwrite`` is False.
        ValueError: A folder or a file does not serve; or an output is an input; or the
            calibrator cannot tell which objects are real, or not on such maps, which
            differ from those of the fit. Nothing is written then.
        OSError: A file cannot be read, or the disk is full; names the file or ``out``.
    """
    calibrator = loaded('calibrator', calibrator)
    _check_masks(calibrator, masks, min_object_prob)
    files = MapFiles.of(maps)
    check_foreground(calibrator, files, reader)
    group_of_map = None
    if groups is not None:
        group_of_map = groups(list(files.pairs))
    plan = _Plan.of(
        Path(maps), files, Path(check_path('out', out)), calibrator_file, overwrite
    )
    plan.check_maps()
    if masks:
        plan.check_masks_of(files)

    # A map is read once, so what is made of it waits until all could be read.
    with (
        _full_disk_named(out),
        tempfile.TemporaryDirectory(prefix='.mmaslp.', dir=plan.above()) as waiting,
    ):
        folders = _Folders(Path(waiting, 'maps'), Path(waiting, 'masks'))
        folders.maps.mkdir()
        folders.masks.mkdir()
        new_writer = partial(
            _Writer, calibrator, reader, folders, masks, min_object_prob
        )
        # Nothing is handed over, so that each process may take a map at a time.
        writer = count_files(
            files,
            new_writer,
            _Writer.add,
            reader,
            workers=workers,
            what='applying',
            chunk=1,
        )
        if min_object_prob is not None:
            _check_set(calibrator, writer.estimates, group_of_map)
        for sentence in writer.doubts(len(files.pairs)):
            warnings.warn(sentence, stacklevel=2)
        return plan.publish(folders)


@contextmanager
def _full_disk_named(out: str | Path) -> Iterator[None]:
    """Name ``out`` where the disk is full: what waits has names that no user sees."""
    try:
        yield
    except OSError as error:
        if error.errno not in OF_FULL_DISK:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(out)) from error


def _check_masks(
    calibrator: Calibrator, masks: str | None, min_object_prob: float | None
) -> None:
    """Refuse masks that cannot be made."""
    optional(check_choice, 'masks', masks, choices=MASKS)
    if min_object_prob is None:
        return
    check_number('min_object_prob', min_object_prob, at_least=0, at_most=1)
    if masks != 'keep':
        raise ValueError(
            'objects can be left out of the masks of the network alone: give '
            "`masks='keep'`"
        )
    calibrator.check_objects()


def _check_set(
    calibrator: Calibrator,
    estimates: Sequence[ImageEstimate],
    groups: Sequence[int] | None,
) -> None:
    """Refuse to leave objects out of a set in which none has a probability."""
    try:
        comparison, _ = calibrator.compare_set(estimates, groups)
    except TooFewImages:
        warnings.warn(
            'there are too few maps, or groups of them, to compare with the fit, so '
            'nobody knows whether the probabilities of their objects are right',
            stacklevel=2,
        )
        return
    if comparison.objects_withheld:
        raise ValueError(
            f'{comparison} So nothing is written. Masks that keep all objects, '
            'however probable, can be written'
        )


@dataclass(frozen=True)
class _Folders:
    """Where maps go, and masks."""

    maps: Path
    masks: Path


@dataclass(frozen=True)
class _Plan:
    """What is written where, and whether that may be.

    Attributes:
        folders (_Folders): Of the outputs.
        outputs (list[Path]): The calibrated maps, and copies of the descriptions.
        descriptions (list[Path]): Files of nnU-Net that are copied beside the maps:
            what these hold, and where their voxels lie.
        inputs (list): What is read.
        overwrite (bool): Whether files that are there may be replaced.
    """

    folders: _Folders
    outputs: list[Path]
    descriptions: list[Path]
    inputs: list[str | Path | None]
    overwrite: bool

    @classmethod
    def of(
        cls,
        maps: Path,
        files: MapFiles,
        out: Path,
        calibrator_file: str | Path | None,
        overwrite: bool,
    ) -> '_Plan':
        """Plan what becomes of a folder of maps."""
        out = resolved_folder(out)
        descriptions = []
        for name in _DESCRIPTIONS:
            if (maps / name).is_file():
                descriptions.append(maps / name)
        for path, _ in files.pairs.values():
            nifti = StoredMap(path).nifti
            if nifti is not None and nifti != path:
                descriptions.append(nifti)
        outputs = [out / _map_name(path) for path, _ in files.pairs.values()]
        outputs += [out / path.name for path in descriptions]
        return cls(
            _Folders(out, out.with_name(f'{out.name}_masks')),
            outputs,
            descriptions,
            [maps, calibrator_file],
            overwrite,
        )

    def check_maps(self) -> None:
        """Refuse maps and descriptions that would cost a file."""
        check_outputs({'`out`': self.outputs}, self.inputs, self.overwrite)

    def check_masks_of(self, files: MapFiles) -> None:
        """Refuse masks that would replace one, before it is known how they end."""
        there = []
        for path in self.folders.masks.glob('*'):
            if stem_of(path) in files.pairs:
                there.append(path)
        check_outputs({'`masks`': there}, self.inputs, self.overwrite)

    def above(self) -> Path:
        """The folder of the outputs, or the first one above it that is there."""
        out = self.folders.maps
        return next(folder for folder in (out, *out.parents) if folder.is_dir())

    def publish(self, waiting: _Folders) -> dict[str, tuple[Path, int]]:
        """Move what waits to where it goes; give folder and number of each kind."""
        maps = list(waiting.maps.glob('*'))
        masks = list(waiting.masks.glob('*'))
        new_masks = [self.folders.masks / part.name for part in masks]
        check_outputs({'`masks`': new_masks}, self.inputs, self.overwrite)
        warn_of_others(self.folders.maps, self.outputs)
        warn_of_others(self.folders.masks, new_masks)

        self._mark(maps)
        self._move(maps, self.folders.maps)
        self._move(masks, self.folders.masks)
        for path in self.descriptions:
            copy = self.folders.maps / path.name
            write_output(copy, path.read_bytes(), self.overwrite)

        written = {}
        if maps:
            written['maps'] = (self.folders.maps, len(maps))
        if masks:
            written['masks'] = (self.folders.masks, len(masks))
        return written

    def _mark(self, maps: list[Path]) -> None:
        """Say beside arrays that they are calibrated; other maps say so themselves."""
        arrays = set()
        for path in maps:
            if path.suffix.lower() in ('.npy', '.npz'):
                arrays.add(sha256_of(path))
        if arrays:
            arrays |= marked_arrays(self.folders.maps)
            mark = self.folders.maps / MARK
            write_output(mark, '\n'.join(sorted(arrays)), overwrite=True)

    def _move(self, parts: list[Path], folder: Path) -> None:
        for part in parts:
            move_output(part, folder / part.name, self.overwrite)


def _map_name(path: Path) -> str:
    """Name of a calibrated map: images become PNG."""
    return path.name if suffix_of(path) in ARRAY_SUFFIXES else f'{path.stem}.png'


@dataclass
class _Writer:
    """Writes maps and masks into a folder, as :func:`count_files` reads maps."""

    calibrator: Calibrator
    reader: MapReader
    folders: _Folders
    masks: str | None
    min_object_prob: float | None
    is_soft: bool = False  # whether a value lies between 0 and 1
    has_foreground: bool = False  # whether a mask of the network has a pixel
    has_background: bool = False  # and whether one leaves a pixel out
    outside: int = 0  # images outside of the range of the fit, of new masks
    # What to expect of each image, where objects are left out.
    estimates: list[ImageEstimate] = field(default_factory=list)

    def add(self, name: str, stored: StoredMap, given: np.ndarray, label: None) -> None:
        self.is_soft = (
            self.is_soft  # one map is enough: to look takes time
            or self.reader.logits
            or bool(((given > 0) & (given < 1)).any())
        )
        if not (self.has_foreground and self.has_background):
            mask = mask_of(given, self.reader.logits)
            self.has_foreground |= bool(mask.any())
            self.has_background |= not mask.all()
        self.calibrator.check_kind(kind_of(given.shape), '; of channels save one alone')
        if self.masks:
            mask = self.calibrator.masks(given, self.masks, self.reader.logits)
            if self.min_object_prob is not None:
                estimate, objects = self.calibrator.judge(given, self.reader.logits)
                self.estimates.append(estimate)
                mask &= self._is_kept(objects).reshape(mask.shape)
            self._write_mask(stored, mask)
        if self.masks not in (None, 'keep') and self.calibrator.decisions:
            self.outside += self.calibrator.image(
                given, self.reader.logits
            ).out_of_range
        self._write_map(stored, self._calibrated(given))

    def merge(self, other: '_Writer') -> None:
        self.is_soft |= other.is_soft
        self.has_foreground |= other.has_foreground
        self.has_background |= other.has_background
        self.outside += other.outside
        self.estimates += other.estimates

    def doubts(self, images: int) -> list[str]:
        """Say what is odd about the maps as a whole, or may make masks worse."""
        sentences = []
        if not self.has_foreground:
            sentences.append(
                'no probability is above 1/2, so that every mask of the network is '
                'empty: if there is something to find, check the stored value that '
                'stands for probability 1, and that maps are the probability of the '
                'foreground'
            )
        if not self.has_background:
            sentences.append(
                'every probability is above 1/2, so that every mask of the network is '
                'full: check that maps are the probability of the foreground, after '
                'one sigmoid'
            )
        if not self.is_soft:
            sentences.append(
                'all probabilities are 0 or 1, as of masks: give those before the cut'
            )
        if self.outside:
            sentences.append(
                f'{self.outside} of {images} images are outside the range of the '
                'validation images in confidence, size or number of objects, where '
                f'`masks={self.masks!r}` may be worse than keep: `mmaslp review` '
                'names them'
            )
        return sentences

    def _is_kept(self, objects: ObjectTable) -> np.ndarray:
        """Pixels of no object that is less probable than asked for."""
        improbable = objects.label[objects.probability < self.min_object_prob]
        return ~np.isin(objects.labels, improbable)

    def _calibrated(self, given: np.ndarray) -> np.ndarray:
        if not self.reader.logits:
            return self.calibrator(given)
        return torch.from_numpy(self.calibrator.logits(given)).sigmoid().numpy()

    def _write_map(self, stored: StoredMap, prob: np.ndarray) -> None:
        path = stored.path
        file = self.folders.maps / _map_name(path)
        if stored.suffix not in ARRAY_SUFFIXES:
            file.write_bytes(png_of(quantised(prob), CALIBRATED))
            return

        prob = stored.as_stored(prob)
        if is_nifti(path):
            file.write_bytes(
                nifti_like(path, np.asarray(prob, np.float32), comment=CALIBRATED)
            )
            return
        values, key = load_array(path, self.reader.key, NNUNET_KEY)
        if key and not self.reader.logits and values.ndim == 4:
            channels = values / (self.reader.max_value or 1)
            prob = with_foreground(channels, prob, self.reader.channel, stored.dataset)
        else:
            prob = prob.reshape(values.shape)
        with open(file, 'wb') as stream:  # by a name numpy would add its ending to .NPY
            if key:
                # numpy.savez takes a key such as 'file' for an argument.
                with (
                    ZipFile(stream, 'w', ZIP_DEFLATED, compresslevel=1) as archive,
                    archive.open(f'{key}.npy', 'w', force_zip64=True) as member,
                ):
                    np.save(member, prob)
            else:
                np.save(stream, prob)

    def _write_mask(self, stored: StoredMap, mask: np.ndarray) -> None:
        pixels = stored.as_stored(mask).astype(np.uint8)
        file = str(self.folders.masks / stem_of(stored.path))
        if stored.nifti is not None:
            data = nifti_like(stored.nifti, pixels, stored.is_reoriented)
            Path(file + suffix_of(stored.nifti)).write_bytes(data)
        elif mask.ndim == 2:
            foreground = 255
            if stored.dataset is not None:  # nnU-Net reads its labels as they are
                foreground = 1
            Path(f'{file}.png').write_bytes(png_of(pixels * np.uint8(foreground)))
        else:
            np.save(f'{file}.npy', pixels)
