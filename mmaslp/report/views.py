"""Pictures of a review: objects outlined on their photograph or on their scan."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage

from ..files.images import open_image
from ..files.placement import PLANES, Placement, side_text
from ..files.review import Judged
from ..files.volumes import AXES, grid_of, is_nifti, read_nifti

# Longest side of a picture in pixels, between these, and quality of the WebP.
SIDES = (320, 640)
QUALITY = 80
# Objects of a volume that get a slice of their own, the least probable first.
MOST_OBJECTS = 6
# Voxels around an object whose values decide about black and white of a scan.
GROWN = 8
# Percentiles of them that become black and white.
GREYS = (1, 99)
# Largest ratio of two aspects that rounding explains.
SAME_ASPECT = 1.03
# Outline of an object by its probability, and without one. Told apart without colour
# by the number beside the object and the list below the picture.
COLOURS = ((0.8, (66, 148, 255)), (0.5, (240, 180, 60)), (0.0, (255, 92, 64)))
UNKNOWN = (170, 170, 170)
WIDTH = 2  # of an outline, outside of the object


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


@dataclass(frozen=True)
class Painter:
    """Makes the views of an image, see :class:`~mmaslp.files.review.Judged`.

    Args:
        photos (Mapping[str, Path]): Photograph or scan of each image, by name; without
            one the map is shown in grey.
    """

    photos: Mapping[str, Path]

    def __call__(self, image: Judged) -> list[View]:
        """Draw the views; ValueError if the photograph does not fit the map."""
        photo = self.photos.get(image.name)
        if image.prob.ndim == 3:
            return [*_Volume.of(image, photo).views()]
        return [_photo_view(image, photo)]


def colour_of(probability: float) -> tuple[int, int, int]:
    """Colour of an object by the probability that it is real."""
    if np.isnan(probability):
        return UNKNOWN
    return next(colour for least, colour in COLOURS if probability >= least)


def doubtful_objects(probability: np.ndarray) -> np.ndarray:
    """Order objects, the least probable first; those that are not known before."""
    return np.argsort(np.nan_to_num(probability, nan=-1.0), kind='stable')


def upright(photo: Path, shape: tuple[int, ...]) -> tuple[Image.Image, str]:
    """Read a photograph as its map ``(H, W)`` lies, and note if the map is stretched.

    A camera notes how it was held. If the map has the aspect of the pixels as they are
    stored, and not that of the photograph, the network did not see that note.
    """
    stored = open_image(photo)
    turned = ImageOps.exif_transpose(stored)
    aspect = shape[1] / shape[0]
    apart = {
        max(ratio, 1 / ratio): image
        for image in (stored, turned)
        if (ratio := image.width / image.height / aspect)
    }
    least = min(apart)
    image = turned if least > SAME_ASPECT else apart[least]
    note = 'the map has another aspect and is stretched' if least > SAME_ASPECT else ''
    return image.convert('RGB'), note


def _photo_view(image: Judged, photo: Path | None) -> View:
    if photo is None:
        picture, title, note = _grey_picture(image.prob, 0, 1), 'map', ''
    else:
        picture, note = upright(photo, image.prob.shape)
        title = 'photograph'
    objects = image.objects
    return draw(picture, objects.labels, objects.probability, title, note=note)


@dataclass(frozen=True)
class _Volume:
    """A volume as it is shown: turned, if its place in the patient is known."""

    values: np.ndarray  # of the scan, or of the map
    labels: np.ndarray
    probability: np.ndarray
    placement: Placement | None
    axes: Sequence[str]  # of the file, without a placement
    is_scan: bool

    @classmethod
    def of(cls, image: Judged, scan: Path | None) -> _Volume:
        """Turn map, objects and scan alike."""
        values = image.prob
        placement = Placement.of(image.grid, image.slice_axis)
        if scan is not None:
            values, placement = _scan_of(image, scan)
        elif placement is not None:
            values = placement.turned(values)
        labels = image.objects.labels
        if placement is not None:
            labels = placement.turned(labels)
        axis = AXES[image.slice_axis]
        axes = (axis, *(other for other in AXES if other != axis))
        probability = image.objects.probability
        return cls(values, labels, probability, placement, axes, scan is not None)

    def views(self) -> Iterator[View]:
        """Three planes of the least probable object, a slice of each of the next."""
        boxes = ndimage.find_objects(self.labels, len(self.probability))
        spacing = np.ones(3) if self.placement is None else self.placement.spacing
        across = int(np.argmax(spacing))
        greys = self._greys(boxes) if self.is_scan else (0.0, 1.0)
        seen = set()
        for rank, k in enumerate(doubtful_objects(self.probability)[:MOST_OBJECTS]):
            own = self.labels[boxes[k]] == k + 1
            for axis in (0, 1, 2) if rank == 0 else (across,):
                others = tuple(other for other in range(3) if other != axis)
                place = boxes[k][axis].start + int(own.sum(others).argmax())
                if (axis, place) not in seen:
                    seen.add((axis, place))
                    yield self._view(axis, place, boxes[k], spacing, greys)

        if not boxes:
            whole = tuple(slice(0, size) for size in self.values.shape)
            middle = self.values.shape[across] // 2
            yield self._view(across, middle, whole, spacing, greys)

    def _greys(self, boxes: Sequence[tuple[slice, ...]]) -> tuple[float, float]:
        """Values of black and white: those that fit the surroundings of objects."""
        near = []
        for box in boxes:
            around = (slice(max(0, s.start - GROWN), s.stop + GROWN) for s in box)
            near.append(self.values[tuple(around)])
        values = np.concatenate([part.ravel() for part in near or [self.values[::4]]])
        low, high = np.percentile(values, GREYS)
        return float(low), float(high)

    def _view(
        self,
        axis: int,
        place: int,
        box: tuple[slice, ...],
        spacing: np.ndarray,
        greys: tuple[float, float],
    ) -> View:
        labels = self.labels.take(place, axis)
        picture = _grey_picture(self.values.take(place, axis), *greys)
        scale = np.delete(spacing, axis)
        sides = None if self.placement is None else PLANES[axis][1]
        title = self._title(axis, place, box)
        return draw(picture, labels, self.probability, title, scale, sides)

    def _title(self, axis: int, place: int, box: tuple[slice, ...]) -> str:
        size = self.labels.shape[axis]
        if self.placement is None:
            return f'slice {place + 1} of {size} along {self.axes[axis]}'
        name, number = self.placement.slice_in_file(axis, place, size)
        point = [(side.start + side.stop - 1) / 2 for side in box]
        point[axis] = place
        mm = self.placement.turned_mm(point, self.labels.shape)
        side = 2 - axis  # axes lead to feet, back, left; mm to right, front, head
        return (
            f'{PLANES[axis][0]}, slice {number + 1} of {size} along {name}, '
            f'{side_text(side, mm[side])} mm'
        )


def _scan_of(image: Judged, scan: Path) -> tuple[np.ndarray, Placement | None]:
    """Read a scan and turn it as its map; ValueError if it lies elsewhere."""
    if not is_nifti(scan):
        raise ValueError(f'{scan}: the scan of a volume must be a NIfTI file')
    values = read_nifti(scan)
    if values.ndim != 3:
        raise ValueError(f'{scan}: it is an image, and its map is a volume')

    of_map = Placement.of(image.grid, image.slice_axis)
    of_scan = Placement.of(grid_of(scan))
    if of_map is None or of_scan is None:  # stored alike, as far as can be known
        values = np.moveaxis(values, image.slice_axis, 0)
        of_scan = of_map = of_map or Placement.of(grid_of(scan), image.slice_axis)
    shape = image.prob.shape
    fits = values.shape == shape
    if of_map is not None and of_scan is not None:
        fits = of_map.same_place(shape, of_scan, values.shape)
        values = of_scan.turned(values)
    if not fits:
        raise ValueError(
            f'{scan}: its voxels lie elsewhere than those of the map of '
            f'{" x ".join(map(str, shape[::-1]))}: take the scan of this map'
        )
    return values, of_map


def _grey_picture(values: np.ndarray, low: float, high: float) -> Image.Image:
    span = max(high - low, 1e-9)
    grey = np.clip((values - low) / span, 0, 1) * 255
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert('RGB')


def draw(
    picture: Image.Image,
    labels: np.ndarray,
    probability: np.ndarray,
    title: str,
    spacing: Sequence[float] = (1.0, 1.0),
    sides: Sequence[str] | None = None,
    note: str = '',
) -> View:
    """Outline objects on a picture, which takes the place of the map.

    Args:
        picture (Image.Image): Photograph or slice.
        labels (np.ndarray): ``(H, W)`` numbers of the objects, 0 elsewhere.
        probability (np.ndarray): ``(O,)`` of each object, which gives the colour.
        title (str): What is seen.
        spacing (Sequence[float]): Of the rows and the columns of the picture. Defaults
            to (1.0, 1.0).
        sides (Sequence[str], optional): Letters for left, right, top and bottom.
            Defaults to None.
        note (str): Defaults to ''.
    """
    sizes = np.array(picture.size) * np.array(spacing)[::-1] / min(spacing)
    size = np.rint(sizes / sizes.max() * np.clip(sizes.max(), *SIDES)).astype(int)
    width, height = (max(1, int(side)) for side in size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    large = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    names = np.asarray(large)

    pixels = np.asarray(picture).copy()
    edge = ndimage.maximum_filter(names, 2 * WIDTH + 1) * (names == 0)
    colours = np.array([(0, 0, 0), *map(colour_of, probability)], np.uint8)
    pixels[edge > 0] = colours[edge[edge > 0]]
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    style = dict(fill='white', stroke_width=2, stroke_fill='black', font_size=14)
    for label, box in enumerate(ndimage.find_objects(names), 1):
        if box is not None:
            # Beside the object, so that it stays free.
            place = min(box[1].stop + WIDTH, width - 10), max(box[0].start, 14)
            pen.text(place, str(label), anchor='lb', **style)
    corners = ((4, height / 2, 'lm'), (width - 4, height / 2, 'rm'))
    corners += ((width / 2, 4, 'mt'), (width / 2, height - 4, 'mb'))
    for letter, (x, y, anchor) in zip(sides or (), corners):
        pen.text((x, y), letter, anchor=anchor, **style)

    buffer = io.BytesIO()
    picture.save(buffer, 'WEBP', quality=QUALITY, method=2)
    data = base64.b64encode(buffer.getvalue()).decode()
    return View(f'data:image/webp;base64,{data}', width, height, title, note)
