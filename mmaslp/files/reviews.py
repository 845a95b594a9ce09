"""A review: what is known of each image, and the tables that are written of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..calibration.calibrator import Calibrator
from ..calibration.estimates import ImageEstimate, ObjectTable
from ..common.maps import mask_of
from ..metrics.objects import MaskTruth, find_objects, is_real, renumbered
from .csv_tables import write_csv
from .volumes import AXES, Grid


@dataclass(frozen=True)
class Judged:
    """An image while it is at hand, for what is made of it in the same pass.

    Attributes:
        path (Path): File of its map.
        name (str): Stem of its file.
        prob (np.ndarray): ``(H, W)`` or ``(D, H, W)`` probabilities as shipped.
        objects (ObjectTable): With the map of labels.
        estimate (ImageEstimate): What to expect of it.
        label (np.ndarray | None): Its mask, of the same shape.
        truth (MaskTruth | None): What the mask says.
        grid (Grid | None): Of its file.
        slice_axis (int): Axis of the file that became the first one of the array.
        smallest (float): Least size of an object, in pixels.
        calibrator (Calibrator | None): What judged it.
    """

    path: Path
    name: str
    prob: np.ndarray
    objects: ObjectTable
    estimate: ImageEstimate
    label: np.ndarray | None = None
    truth: MaskTruth | None = None
    grid: Grid | None = None
    slice_axis: int = 0
    smallest: float = 0.0
    calibrator: Calibrator | None = None

    @cached_property
    def unseen(self) -> np.ndarray:
        """Numbers of the labelled objects that the network does not see."""
        labels, number = find_objects(np.asarray(self.label == 1))
        seen = np.bincount(labels[mask_of(self.prob)], minlength=number + 1)
        area = np.bincount(labels.ravel(), minlength=number + 1)
        unseen = ~is_real(seen, area) & (area >= self.smallest)
        unseen[0] = False
        return renumbered(labels, unseen)


# Makes something of an image in the same pass; it is sent to other processes.
Extra = Callable[[Judged], Any]


@dataclass(frozen=True)
class Reviewed:
    """An image, what to expect of it, and what is true if masks were given.

    Attributes:
        name (str): Stem of its file.
        estimate (ImageEstimate): See there.
        objects (ObjectTable): Without the map of labels; places by the axes of the
            file.
        mask_area (int): Pixels of the mask p > 1/2.
        grid (Grid | None): Of a NIfTI file, which the map is or which lies beside it.
        truth (MaskTruth | None): Of its mask.
        extras (dict[str, Any]): What was made of it in the same pass, by name.
    """

    name: str
    estimate: ImageEstimate
    objects: ObjectTable
    mask_area: int
    grid: Grid | None = None
    truth: MaskTruth | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def voxel(self) -> float:
        """float: Volume of a voxel in mm3; nan where it is not known."""
        return np.nan if self.grid is None else self.grid.voxel

    def in_mm(self, places: np.ndarray) -> np.ndarray:
        """``(P, 3)`` mm towards right, front and head; nan where not known.

        ``places`` are ``(P, D)`` along the axes of the file.
        """
        if not (self.grid and self.grid.is_placed and places.shape[1] == 3):
            return np.full((len(places), 3), np.nan)
        points = np.column_stack([places[:, ::-1], np.ones(len(places))])
        return points @ np.array(self.grid.affine)[:3].T


@dataclass(frozen=True)
class Suspect:
    """A place where a label and what the network sees do not agree.

    Attributes:
        kind (str): 'not labelled': an object that is probable; 'not seen': a labelled
            one that the network does not see; 'border': the mask as a whole, whose
            Dice is below what to expect.
        score (float): The larger, the more suspicious.
        area (int): Pixels of the object; of a border those that differ.
        box (np.ndarray): ``(D, 2)`` first and last place along each axis of the file.
    """

    kind: str
    score: float
    area: int
    box: np.ndarray


def stored_order(slice_axis: int) -> np.ndarray:
    """``(3,)`` axes of an array whose slices were put first, as the file has them."""
    return np.argsort([slice_axis, *(k for k in range(3) if k != slice_axis)])


# What is expected of an image: the columns after its name.
_NUMBERS = (
    'score',
    'dice',
    'dice_low',
    'iou',
    'iou_low',
    'accuracy',
    'accuracy_low',
    'area',
    'area_low',
    'area_high',
    'present',
    'objects',
)


def write_review(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an image, in the order of the review; empty where nothing is told."""
    with_volumes = _any_volume(rows)
    lines = [_image_columns(row, with_volumes) for row in rows]
    write_csv(path, lines, ('image', 'dice'), overwrite)


def _image_columns(row: Reviewed, with_volumes: bool) -> dict[str, object]:
    expected = row.estimate
    columns: dict[str, object] = {'image': row.name}
    for key in _NUMBERS:
        columns[key] = _text(getattr(expected, key))
    columns['least_object'] = _text(min(row.objects.probability, default=np.nan))
    columns['mask_area'] = row.mask_area
    columns['pixels'] = expected.pixels

    if with_volumes:
        columns['volume_mm3'] = _text(expected.area * row.voxel)
        columns['volume_mm3_low'] = _text(expected.area_low * row.voxel)
        columns['volume_mm3_high'] = _text(expected.area_high * row.voxel)

    columns['out_of_range'] = int(expected.out_of_range)
    if row.truth is not None:
        columns['true_dice'] = _text(row.truth.dice)
        columns['true_area'] = row.truth.foreground
    return columns


OBJECT_COLUMNS = (
    'image',
    'object',
    'probability',
    'probability_low',
    'probability_high',
    'area',
    'mean_p',
)


def _any_volume(rows: Sequence[Reviewed]) -> bool:
    return any(row.grid is not None for row in rows)


def write_objects(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an object, images in the order of the review."""
    with_volumes = _any_volume(rows)
    lines = []
    for row in rows:
        for k in range(len(row.objects)):
            lines.append(_object_columns(row, k, with_volumes))
    write_csv(path, lines, OBJECT_COLUMNS, overwrite)


def _object_columns(row: Reviewed, k: int, with_volumes: bool) -> dict[str, object]:
    table = row.objects
    columns: dict[str, object] = {
        'image': row.name,
        'object': table.label[k],
        'probability': _text(table.probability[k]),
        'probability_low': _text(table.low[k]),
        'probability_high': _text(table.high[k]),
        'area': table.area[k],
        'mean_p': _text(table.mean[k]),
    }
    columns |= box_columns(table.box[k])
    for axis, place in zip(_axes(table.centre[k]), table.centre[k]):
        columns[f'{axis}_centre'] = _text(place)

    if with_volumes:
        right, front, head = row.in_mm(table.centre)[k]
        columns['volume_mm3'] = _text(table.area[k] * row.voxel)
        columns['right_mm'] = _text(right)
        columns['front_mm'] = _text(front)
        columns['head_mm'] = _text(head)

    if row.truth is not None:
        columns['real'] = int(row.truth.real[k]) if row.truth.known[k] else ''
    return columns


def box_columns(box: np.ndarray) -> dict[str, object]:
    """First and last place along each axis, by the name of their column."""
    columns: dict[str, object] = {}
    for axis, (first, last) in zip(_axes(box), box):
        columns[f'{axis}_first'] = first
        columns[f'{axis}_last'] = last
    return columns


def _axes(places: np.ndarray) -> tuple[str, ...]:
    """Names of the axes of an image, or of a volume."""
    return AXES[-len(places) :]


def _text(value: float) -> str:
    return '' if np.isnan(value) else f'{value:.6g}'


def all_suspects(rows: Sequence[Reviewed]) -> list[tuple[Reviewed, Suspect]]:
    """Suspects of all images with their rows, the most suspicious first.

    Only scores above 0 are suspicious: what is smaller is more likely right than not.
    """
    suspects = []
    for row in rows:
        for suspect in row.extras.get('suspects', ()):
            if suspect.score > 0:
                suspects.append((row, suspect))
    return sorted(suspects, key=lambda pair: -pair[1].score)


def write_suspects(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row a suspect; rows have the extra ``'suspects'``."""
    lines = [
        {
            'image': row.name,
            'kind': suspect.kind,
            'score': f'{suspect.score:.6g}',
            'area': suspect.area,
            **box_columns(suspect.box),
        }
        for row, suspect in all_suspects(rows)
    ]
    write_csv(path, lines, ('image', 'kind', 'score', 'area'), overwrite)
