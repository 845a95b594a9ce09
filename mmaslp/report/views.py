"""Pictures of a review: objects outlined on their photograph or on their scan."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ..common.inputs import naming
from ..files.images import GREYS, grey_picture, upright
from ..files.object_volumes import colour_of
from ..files.reviews import Judged
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
        return list(_Volume.of(image, photo).views())
    return [_photo_view(image, photo)]


def doubtful_objects(probability: np.ndarray) -> np.ndarray:
    """Order objects, the least probable first; those that are not known before."""
    return np.argsort(np.nan_to_num(probability, nan=-1.0), kind='stable')


def _photo_view(image: Judged, photo: Path | None) -> View:
    note = ''
    if photo is None:
        picture = grey_picture(image.prob, 0, 1)
        title = 'map'
    else:
        picture, fits = upright(photo, image.prob.shape)
        title = 'photograph'
        if not fits:
            note = 'the map has another aspect ratio and was stretched'
    view = draw(
        picture,
        image.objects.labels,
        image.objects.probability,
        title,
        truth=image.label,
    )
    return replace(view, note=note)


@dataclass(frozen=True)
class _Shown:
    """An object that gets a view.

    Attributes:
        numbers (np.ndarray): ``(D, H, W)`` numbers of objects, of which it is one.
        number (int): Its own.
        box (tuple[slice, slice, slice]): Around it.
        note (str): What to know about it; '' mostly.
    """

    numbers: np.ndarray
    number: int
    box: tuple[slice, ...]
    note: str = ''

    def fullest_slice(self, axis: int) -> int:
        """Number of the slice along an axis that has most of its voxels."""
        mask = self.numbers[self.box] == self.number
        others = tuple(other for other in range(3) if other != axis)
        return self.box[axis].start + int(mask.sum(others).argmax())


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
        grid = None
        if image.grid is not None and image.grid.is_placed:
            grid = image.grid
        scanned = None
        if scan is not None:
            stored = np.moveaxis(image.prob, 0, image.slice_axis)
            scanned, grid = _scan_of(scan, stored.shape, grid)

        def turned(slices_first: np.ndarray) -> np.ndarray:
            stored = np.moveaxis(slices_first, 0, image.slice_axis)
            if grid is None:
                return stored
            return grid.turned(stored)

        values = scanned
        if values is None:
            values = turned(image.prob)
        labels = turned(image.objects.labels)
        truth = None
        unseen = np.zeros_like(labels)
        if image.label is not None:
            truth = turned(image.label)
            unseen = turned(image.unseen)

        across = image.slice_axis
        if grid is not None:
            across = int(np.argmax(grid.turned_spacing))
        return cls(
            values,
            labels,
            truth,
            unseen,
            image.objects.probability,
            grid,
            across,
            is_scan=scan is not None,
        )

    def views(self) -> Iterator[View]:
        """Three planes of the least probable object, a slice of each of the next.

        Then one of each label that the network does not see.
        """
        shown = self._shown()
        if not shown:
            whole = tuple(slice(0, size) for size in self.values.shape)
            middle = self.values.shape[self.across] // 2
            yield self._view(self.across, middle, whole, self._greys([]))
            return

        greys = self._greys([item.box for item in shown])
        drawn = set()
        for rank, item in enumerate(shown):
            axes = [self.across]
            if rank == 0:
                axes = [0, 1, 2]
            for axis in axes:
                place = item.fullest_slice(axis)
                if (axis, place, item.note) not in drawn:
                    drawn.add((axis, place, item.note))
                    view = self._view(axis, place, item.box, greys)
                    yield replace(view, note=item.note)

    def _shown(self) -> list[_Shown]:
        """Objects that get a view, the least probable first; then unseen labels."""
        shown = []
        boxes = ndimage.find_objects(self.labels, len(self.probability))
        for row in doubtful_objects(self.probability)[:MOST_OBJECTS]:
            shown.append(_Shown(self.labels, row + 1, boxes[row]))

        unseen = ndimage.find_objects(self.unseen)[:MOST_OBJECTS]
        for number, box in enumerate(unseen, 1):
            shown.append(_Shown(self.unseen, number, box, UNSEEN))
        return shown

    def _greys(self, boxes: Sequence[tuple[slice, ...]]) -> tuple[float, float]:
        """Values of black and white: those that fit the surroundings of objects."""
        if not self.is_scan:
            return 0.0, 1.0
        near = [self.values[_grown(box)].ravel() for box in boxes]
        if not near:
            near = [self.values[::4].ravel()]
        black, white = np.nanpercentile(np.concatenate(near), GREYS)
        return float(black), float(white)

    def _view(
        self,
        axis: int,
        place: int,
        box: tuple[slice, ...],
        greys: tuple[float, float],
    ) -> View:
        spacing = np.ones(3)
        sides: Sequence[str] = ()
        if self.grid is not None:
            spacing = self.grid.turned_spacing
            sides = PLANES[axis][1]
        truth = None
        if self.truth is not None:
            truth = self.truth.take(place, axis)
        return draw(
            grey_picture(self.values.take(place, axis), greys[0], greys[1]),
            self.labels.take(place, axis),
            self.probability,
            self._title(axis, place, box),
            spacing=np.delete(spacing, axis).tolist(),
            sides=sides,
            truth=truth,
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

    if of_map is not None and of_scan.is_placed:
        fits = values.ndim == 3 and of_map.same_place(shape, of_scan, values.shape)
    else:
        fits = values.shape == shape  # stored alike, as far as can be known
    if not fits:
        size = ' x '.join(str(number) for number in shape[::-1])
        raise ValueError(
            f'{scan}: its voxels are not in the same place as those of the map of '
            f'{size}: take the scan of this map'
        )

    if of_scan.is_placed:
        values = of_scan.turned(values)
    elif of_map is not None:
        values = of_map.turned(values)
    if of_map is not None:
        return values, of_map
    if of_scan.is_placed:
        return values, of_scan
    return values, None


def _grown(box: Sequence[slice]) -> tuple[slice, ...]:
    """A box and what is around it."""
    return tuple(slice(max(0, side.start - GROWN), side.stop + GROWN) for side in box)


def draw(
    picture: Image.Image,
    labels: np.ndarray,
    probability: np.ndarray,
    title: str,
    spacing: Sequence[float] = (1.0, 1.0),
    sides: Sequence[str] = (),
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
        truth (np.ndarray, optional): ``(H, W)`` label, whose border is drawn in white.
            Defaults to None.
    """
    size = _size_of(picture, spacing)
    numbers = _enlarged(labels, size)
    pixels = np.array(picture.resize(size, Image.Resampling.BILINEAR))
    if truth is not None:
        mask = _enlarged((truth == 1).astype(np.uint8), size) > 0
        pixels[mask & ~ndimage.binary_erosion(mask)] = 255
    edge = ndimage.maximum_filter(numbers, 2 * WIDTH + 1) * (numbers == 0)
    colours = [(0, 0, 0)] + [colour_of(number) for number in probability]
    pixels[edge > 0] = np.array(colours, np.uint8)[edge[edge > 0]]

    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for label, box in enumerate(ndimage.find_objects(numbers), 1):
        if box is not None:
            # Beside the object, so that it stays free.
            place = min(box[1].stop + WIDTH, size[0] - 10), max(box[0].start, 14)
            _write(pen, place, str(label), anchor='lb')
    _write_sides(pen, sides, size)
    return View(_address_of(picture), size[0], size[1], title)


def _size_of(picture: Image.Image, spacing: Sequence[float]) -> tuple[int, int]:
    """Width and height of a picture on a page, whose pixels are square."""
    sizes = np.array(picture.size) * np.array(spacing)[::-1] / min(spacing)
    longest = np.clip(sizes.max(), SIDES[0], SIDES[1])
    width, height = np.rint(sizes / sizes.max() * longest).astype(int).tolist()
    return max(1, width), max(1, height)


def _enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at another size, none of them mixed."""
    image = Image.fromarray(values)
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))


def _write_sides(
    pen: ImageDraw.ImageDraw, sides: Sequence[str], size: tuple[int, int]
) -> None:
    """Write letters at the left, right, top and bottom of a picture."""
    width, height = size
    places = (
        ((4, height / 2), 'lm'),
        ((width - 4, height / 2), 'rm'),
        ((width / 2, 4), 'mt'),
        ((width / 2, height - 4), 'mb'),
    )
    for letter, (place, anchor) in zip(sides, places):
        _write(pen, place, letter, anchor)


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str
) -> None:
    """Write in white with a black border, which is seen on any picture."""
    pen.text(
        place,
        text,
        anchor=anchor,
        fill='white',
        stroke_width=2,
        stroke_fill='black',
        font_size=14,
    )


def _address_of(picture: Image.Image) -> str:
    """The data of a picture as an address."""
    buffer = io.BytesIO()
    picture.save(buffer, 'WEBP', quality=QUALITY, method=2)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'
