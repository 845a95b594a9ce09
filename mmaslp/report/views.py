"""Pictures of a review: objects outlined on their photograph or on their scan."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ..common.inputs import naming
from ..files.images import GREYS, grey_picture, upright
from ..files.object_volumes import colour_of
from ..files.review import Judged
from ..files.volumes import (
    AXES,
    PLANES,
    Grid,
    grid_of,
    read_nifti,
    side_text,
)

# Longest side of a picture in pixels, between these, and quality of the WebP.
SIDES = (320, 640)
QUALITY = 80
# Objects of a volume that get a slice of their own, the least probable first.
MOST_OBJECTS = 6
# Voxels around an object whose values decide about black and white of a scan.
GROWN = 8
WIDTH = 2  # of an outline, outside of the object
UNSEEN = 'the network does not see this label'


@dataclass(frozen=True)
class View:
    """A picture of a page.

    Attributes:
        source (str): Its data as an address.
        width (int): In pixels; also ``height``.
        title (str): What is seen.
        note (str): What to know about it; '' mostly.
    """

    source: str
    width: int
    height: int
    title: str
    note: str = ''


def views_of(
    photos: Mapping[str, Path], image: Judged, with_labels: bool = False
) -> list[View]:
    """Draw the views of an image; ValueError if its photograph does not fit its map.

    ``photos`` are photographs or scans by the name of their image; without one the map
    is shown in grey. ``with_labels`` draws the border of the label, in white.
    """
    photo = photos.get(image.name)
    if not with_labels:
        image = replace(image, label=None)
    if image.prob.ndim == 3:
        return [*_Volume.of(image, photo).views()]
    return [_photo_view(image, photo)]


def doubtful_objects(probability: np.ndarray) -> np.ndarray:
    """Order objects, the least probable first; those that are not known before."""
    return np.argsort(np.nan_to_num(probability, nan=-1.0), kind='stable')


def _photo_view(image: Judged, photo: Path | None) -> View:
    drawn: dict[str, Any] = {
        'labels': image.objects.labels,
        'probability': image.objects.probability,
        'truth': image.label,
    }
    if photo is None:
        return draw(grey_picture(image.prob, 0, 1), title='map', **drawn)
    picture, fits = upright(photo, image.prob.shape)
    note = '' if fits else 'the map has another aspect and is stretched'
    return draw(picture, title='photograph', note=note, **drawn)


@dataclass(frozen=True)
class _Volume:
    """A volume as it is shown: turned, if its place in the patient is known."""

    values: np.ndarray  # of the scan, or of the map
    labels: np.ndarray
    truth: np.ndarray | None
    unseen: np.ndarray  # numbers of labelled objects, see `Judged.unseen`
    probability: np.ndarray
    grid: Grid | None
    across: int  # axis that slices are stacked along
    is_scan: bool

    @classmethod
    def of(cls, image: Judged, scan: Path | None) -> '_Volume':
        """Turn map, objects and scan alike."""
        grid = image.grid if image.grid and image.grid.is_placed else None
        scanned = None
        if scan is not None:
            stored = np.moveaxis(image.prob, 0, image.slice_axis)
            scanned, grid = _scan_of(scan, stored.shape, grid)

        def turned(slices_first: np.ndarray) -> np.ndarray:
            stored = np.moveaxis(slices_first, 0, image.slice_axis)
            return stored if grid is None else grid.turned(stored)

        labels = turned(image.objects.labels)
        truth = image.label
        return cls(
            turned(image.prob) if scanned is None else scanned,
            labels,
            None if truth is None else turned(truth),
            np.zeros_like(labels) if truth is None else turned(image.unseen),
            image.objects.probability,
            grid,
            across=(
                image.slice_axis
                if grid is None
                else int(np.argmax(grid.turned_spacing))
            ),
            is_scan=scan is not None,
        )

    def views(self) -> Iterator[View]:
        """Three planes of the least probable object, a slice of each of the next.

        Then one of each label that the network does not see.
        """
        boxes = ndimage.find_objects(self.labels, len(self.probability))
        shown = [
            (self.labels, k + 1, boxes[k], '')
            for k in doubtful_objects(self.probability)[:MOST_OBJECTS]
        ]
        unseen = ndimage.find_objects(self.unseen)[:MOST_OBJECTS]
        shown += [(self.unseen, k, box, UNSEEN) for k, box in enumerate(unseen, 1)]

        around = [box for _, _, box, _ in shown]
        greys = self._greys(around) if self.is_scan else (0.0, 1.0)
        drawn = set()
        for rank, (numbers, number, box, note) in enumerate(shown):
            mask = numbers[box] == number
            for axis in (0, 1, 2) if rank == 0 else (self.across,):
                others = tuple(other for other in range(3) if other != axis)
                place = box[axis].start + int(mask.sum(others).argmax())
                if (axis, place, note) not in drawn:
                    drawn.add((axis, place, note))
                    yield replace(self._view(axis, place, box, greys), note=note)

        if not shown:
            whole = tuple(slice(0, size) for size in self.values.shape)
            middle = self.values.shape[self.across] // 2
            yield self._view(self.across, middle, whole, greys)

    def _greys(self, boxes: Sequence[tuple[slice, ...]]) -> tuple[float, float]:
        """Values of black and white: those that fit the surroundings of objects."""
        near = [
            self.values[
                tuple(slice(max(0, s.start - GROWN), s.stop + GROWN) for s in b)
            ]
            for b in boxes
        ]
        values = np.concatenate([part.ravel() for part in near or [self.values[::4]]])
        return tuple(np.nanpercentile(values, GREYS).tolist())

    def _view(
        self,
        axis: int,
        place: int,
        box: tuple[slice, ...],
        greys: tuple[float, float],
    ) -> View:
        spacing = np.ones(3) if self.grid is None else self.grid.turned_spacing
        return draw(
            grey_picture(self.values.take(place, axis), *greys),
            self.labels.take(place, axis),
            self.probability,
            self._title(axis, place, box),
            spacing=np.delete(spacing, axis).tolist(),
            sides=() if self.grid is None else PLANES[axis][1],
            truth=None if self.truth is None else self.truth.take(place, axis),
        )

    def _title(self, axis: int, place: int, box: tuple[slice, ...]) -> str:
        size = self.labels.shape[axis]
        if self.grid is None:
            return f'slice {place + 1} of {size} along {AXES[axis]}'
        name, number = self.grid.slice_in_file(axis, place, size)
        point = [(side.start + side.stop - 1) / 2 for side in box]
        point[axis] = place
        mm = self.grid.turned_mm(point, self.labels.shape)
        side = 2 - axis  # axes lead to feet, back, left; mm to right, front, head
        return (
            f'{PLANES[axis][0]}, slice {number + 1} of {size} along {name}, '
            f'{side_text(side, mm[side])} mm'
        )


def _scan_of(
    scan: Path, shape: tuple[int, ...], of_map: Grid | None
) -> tuple[np.ndarray, Grid | None]:
    """Read a scan and turn it as its map; ValueError if it lies elsewhere."""
    with naming(f'its scan {scan}'):
        values = read_nifti(scan)
        of_scan = grid_of(scan)

    fits = (
        values.ndim == 3 and of_map.same_place(shape, of_scan, values.shape)
        if of_map is not None and of_scan.is_placed
        else values.shape == shape  # stored alike, as far as can be known
    )
    if not fits:
        raise ValueError(
            f'{scan}: its voxels lie elsewhere than those of the map of '
            f'{" x ".join(map(str, shape[::-1]))}: take the scan of this map'
        )
    grid = of_scan if of_scan.is_placed else of_map
    return values if grid is None else grid.turned(values), of_map or grid


def draw(
    picture: Image.Image,
    labels: np.ndarray,
    probability: np.ndarray,
    title: str,
    spacing: Sequence[float] = (1.0, 1.0),
    sides: Sequence[str] = (),
    note: str = '',
    truth: np.ndarray | None = None,
) -> View:
    """Outline objects on a picture, which takes the place of the map.

    Args:
        picture (Image.Image): Photograph or slice.
        labels (np.ndarray): ``(H, W)`` numbers of the objects, 0 elsewhere.
        probability (np.ndarray): ``(O,)`` of each object, which gives the colour.
        title (str): What is seen.
        spacing (Sequence[float]): Of the rows and the columns of the picture. Defaults
            to (1.0, 1.0).
        sides (Sequence[str]): Letters for left, right, top and bottom. Defaults to ().
        note (str): Defaults to ''.
        truth (np.ndarray, optional): ``(H, W)`` label, whose border is drawn in white.
            Defaults to None.
    """
    sizes = np.array(picture.size) * np.array(spacing)[::-1] / min(spacing)
    size = np.rint(sizes / sizes.max() * np.clip(sizes.max(), *SIDES)).astype(int)
    width, height = (max(1, int(side)) for side in size)

    def enlarged(values: np.ndarray) -> np.ndarray:
        return np.asarray(
            Image.fromarray(values).resize((width, height), Image.Resampling.NEAREST)
        )

    names = enlarged(labels)
    pixels = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    if truth is not None:
        mask = enlarged((truth == 1).astype(np.uint8)) > 0
        pixels[mask & ~ndimage.binary_erosion(mask)] = 255
    edge = ndimage.maximum_filter(names, 2 * WIDTH + 1) * (names == 0)
    colours = np.array([(0, 0, 0), *map(colour_of, probability)], np.uint8)
    pixels[edge > 0] = colours[edge[edge > 0]]
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    style: dict[str, Any] = dict(
        fill='white', stroke_width=2, stroke_fill='black', font_size=14
    )
    for label, box in enumerate(ndimage.find_objects(names), 1):
        if box is not None:
            # Beside the object, so that it stays free.
            place = min(box[1].stop + WIDTH, width - 10), max(box[0].start, 14)
            pen.text(place, str(label), anchor='lb', **style)
    corners = (
        (4, height / 2, 'lm'),
        (width - 4, height / 2, 'rm'),
        (width / 2, 4, 'mt'),
        (width / 2, height - 4, 'mb'),
    )
    for letter, (x, y, anchor) in zip(sides, corners):
        pen.text((x, y), letter, anchor=anchor, **style)

    buffer = io.BytesIO()
    picture.save(buffer, 'WEBP', quality=QUALITY, method=2)
    data = base64.b64encode(buffer.getvalue()).decode()
    return View(f'data:image/webp;base64,{data}', width, height, title, note)
