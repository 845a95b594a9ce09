"""Objects of volumes as numbered NIfTI files, with a table for ITK-SNAP and Slicer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..common.outputs import write_output
from .gzipped import compressed
from .reviews import Judged

# Of each volume: the numbers, the labels for ITK-SNAP, the colours for 3D Slicer.
ENDINGS = ('.nii.gz', '.label.txt', '.ctbl')
# Colour of an object by the probability that it is real, and where it is unknown.
COLOURS = ((0.8, (66, 148, 255)), (0.5, (240, 180, 60)), (0.0, (255, 92, 64)))
UNKNOWN = (170, 170, 170)


def colour_of(probability: float) -> tuple[int, int, int]:
    """Colour of an object by the probability that it is real."""
    # No comparison with nan holds.
    return next((colour for least, colour in COLOURS if probability >= least), UNKNOWN)


def files_of(folder: str | Path, names: Iterable[str]) -> list[Path]:
    """All files that :func:`write_volume` writes."""
    return [Path(folder) / f'{name}{end}' for name in names for end in ENDINGS]


def write_volume(folder: str | Path, image: Judged, overwrite: bool = False) -> None:
    """Write the objects of a volume, numbered as in the table of objects.

    It writes three files; ValueError if the place of the volume is not known.
    """
    import nibabel

    if image.prob.ndim != 3:
        raise ValueError(
            '`write_volume` is for volumes: write images with `write_coco`'
        )
    if image.grid is None:
        raise ValueError(
            'where its voxels are is not known: keep the NIfTI file of the scan or '
            'of the mask beside it, under the same name'
        )

    labels = np.moveaxis(image.objects.labels, 0, image.slice_axis)
    volume = nibabel.Nifti1Image(
        labels.T.astype(np.uint16 if labels.max() < 2**16 else np.uint32),  # x, y, z
        np.array(image.grid.affine),
    )
    volume.header.set_xyzt_units('mm')
    table = ['0 0 0 0 0 0 0 "Clear Label"']
    colours = []
    for number, probability in enumerate(image.objects.probability, 1):
        told = 'unknown' if np.isnan(probability) else f'{probability:.3f}'
        red, green, blue = colour_of(probability)
        table.append(
            f'{number:5} {red:3} {green:3} {blue:3}   1  1  1  '
            f'"object {number}, real with {told}"'
        )
        colours.append(f'{number} object_{number}_real_{told} {red} {green} {blue} 255')

    contents: tuple[Any, ...] = (
        compressed(volume.to_bytes()),
        '\n'.join(table) + '\n',
        '\n'.join(colours) + '\n',
    )
    for path, content in zip(files_of(folder, [image.name]), contents):
        write_output(path, content, overwrite)
