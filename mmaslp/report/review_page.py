"""The page of a review: the most doubtful images first, their objects by colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from markupsafe import Markup
from PIL import Image, ImageDraw
from scipy.special import expit

from ..calibration.calibrator import Calibrator
from ..common.outputs import write_output
from ..files.images import IMAGE_SUFFIXES, open_image
from ..files.map_pairs import list_files, one_thread
from ..files.names import short_names
from ..files.prob_maps import MAP_SUFFIXES, MapReader
from ..files.progress import track
from ..files.review import Reviewed
from ..version import __version__
from .diagrams import figure_svg, risk_coverage_figure
from .page import page_template
from .text_table import metric_text

# Longest side of a thumbnail in pixels, and quality of the WebP.
SIDE = 320
QUALITY = 75
# Outline of an object by its probability, and without one. Told apart without colour
# by the number in the object and the list below the picture.
COLOURS = ((0.8, (43, 108, 176)), (0.5, (214, 158, 46)), (0.0, (200, 68, 44)))
UNKNOWN = (150, 150, 150)
# Shares of the images that a person may have time for.
SHARES = (0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Effort:
    """What looking at the most doubtful images leaves.

    Attributes:
        number (int): Of images that a person looks at.
        rest (float): Expected mean Dice of the others; nan of none.
        true_rest (float): Their true one; nan without masks.
    """

    number: int
    rest: float
    true_rest: float


def efforts(rows: Sequence[Reviewed], bias: float = 0.0) -> list[Effort]:
    """Say what looking at a part of the images leaves; images in order of review.

    ``bias`` is that of the :class:`~mmaslp.calibration.decisions.Decisions`.
    """
    expected = np.array([row.estimate.dice for row in rows]) + bias
    truth = np.array([row.truth.dice if row.truth else np.nan for row in rows])
    numbers = dict.fromkeys([0, *(round(share * len(rows)) for share in SHARES)])
    return [
        Effort(number, _mean(expected[number:]), _mean(truth[number:]))
        for number in numbers
    ]


def risk_coverage(rows: Sequence[Reviewed]) -> Markup | None:
    """Diagram of what is left in three orders; None without masks."""
    told = [row for row in rows if row.truth and not np.isnan(row.estimate.dice)]
    if len(told) < 2:
        return None
    risk = np.array([1 - row.truth.dice for row in told if row.truth])
    orders = {
        'this review': [row.estimate.score for row in told],
        'mean confidence': [row.confidence for row in told],
        'perfect order': -risk,
    }
    curves = {}
    for name, score in orders.items():
        kept = risk[np.argsort(-np.array(score), kind='stable')]
        curves[name] = np.cumsum(kept) / np.arange(1, len(kept) + 1)

    label = 'Mean of 1 - Dice of the images that are kept, in three orders'
    return figure_svg(risk_coverage_figure(curves), label, 'risk')


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def write_review_page(
    path: str | Path,
    rows: Sequence[Reviewed],
    calibrator: Calibrator,
    maps: str | Path,
    *,
    images: str | Path | None = None,
    reader: MapReader | None = None,
    workers: int | None = 1,
    title: str = 'Review',
    overwrite: bool = False,
) -> None:
    """Write the page; it needs no other file. Maps are read again for the pictures.

    Args:
        path (str | Path): Where to.
        rows (Sequence[Reviewed]): Of :func:`~mmaslp.files.review.review_maps`.
        calibrator (Calibrator): That of the review.
        maps (str | Path): Folder of its maps.
        images (str | Path, optional): Folder of photographs of the same names. Defaults
            to None: the maps are shown in grey.
        reader (MapReader, optional): How maps are read. Defaults to the usual way.
        workers (int, optional): Processes. Defaults to 1.
        title (str): Defaults to 'Review'.
        overwrite (bool): Replace a file that is there. Defaults to False.
    """
    files = list_files(Path(maps), MAP_SUFFIXES, 'map', [])
    photos: dict[str, Path] = {}
    if images is not None:
        photos = list_files(Path(images), IMAGE_SUFFIXES, 'photograph', [])
        if photos.keys().isdisjoint(files):
            raise ValueError(f'--images {images}: there is none of {next(iter(files))}')

    names = short_names([row.name for row in rows])
    draw = joblib.delayed(_picture)
    run = joblib.Parallel(n_jobs=workers, return_as='generator')
    jobs = (
        draw(calibrator, reader or MapReader(), files[row.name], photos.get(row.name))
        for row in rows
    )
    pictures = list(track(run(jobs), 'drawing', len(rows)))
    cards = [
        {
            'name': name,
            'row': row,
            'picture': picture,
            'objects': _objects(row),
        }
        for name, row, picture in zip(names, rows, pictures)
    ]
    page = page_template('review.html.j2').render(
        title=title,
        version=__version__,
        cards=cards,
        efforts=efforts(rows, calibrator.need_decisions().bias),
        level=rows[0].estimate.level,
        with_truth=any(row.truth is not None for row in rows),
        curve=risk_coverage(rows),
        silent=sum(np.isnan(row.estimate.dice) for row in rows),
        text=metric_text,
        legend=_LEGEND,
    )
    write_output(path, page.encode(errors='backslashreplace'), overwrite)


_LEGEND = (
    (COLOURS[0][1], 'real with a probability of 80 % or more'),
    (COLOURS[1][1], '50 to 80 %'),
    (COLOURS[2][1], 'below 50 %'),
    (UNKNOWN, 'unknown'),
)


def _colour(probability: float) -> tuple[int, int, int]:
    if np.isnan(probability):
        return UNKNOWN
    return next(colour for least, colour in COLOURS if probability >= least)


def _objects(row: Reviewed) -> list[dict[str, Any]]:
    """Objects of an image, the least probable first."""
    table = row.objects
    order = np.argsort(np.nan_to_num(table.probability, nan=-1.0), kind='stable')
    return [
        {
            'label': int(table.label[k]),
            'probability': float(table.probability[k]),
            'area': int(table.area[k]),
            'real': None
            if row.truth is None or not row.truth.known[k]
            else bool(row.truth.real[k]),
        }
        for k in order
    ]


def _picture(
    calibrator: Calibrator, reader: MapReader, path: Path, photo: Path | None
) -> dict[str, Any]:
    """Draw the objects of an image onto its photograph or its map."""
    prob = np.squeeze(reader.read(path))
    with one_thread():
        table = calibrator.objects(prob, reader.logits)
    labels = table.labels
    if prob.ndim == 3:  # the slice with the most objects' pixels
        number = int((labels > 0).sum((1, 2)).argmax())
        prob = prob[number]
        labels = labels[number]

    if reader.logits:
        prob = expit(prob)
    grey = np.rint(np.clip(prob, 0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(grey).convert('RGB')
    if photo is not None:
        picture = open_image(photo).convert('RGB')
    picture.thumbnail((SIDE, SIDE))
    small = Image.fromarray(labels).resize(picture.size, Image.Resampling.NEAREST)
    names = np.asarray(small)
    pixels = np.asarray(picture).copy()
    edge = _edges(names)
    for label in np.unique(names[edge]):
        pixels[edge & (names == label)] = _colour(table.probability[label - 1])

    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for label in np.unique(names[names > 0]):
        y, x = np.argwhere(names == label).mean(0)
        style = {'stroke_width': 1, 'stroke_fill': 'black', 'anchor': 'mm'}
        pen.text((x, y), str(label), fill='white', **style)

    buffer = io.BytesIO()
    picture.save(buffer, 'WEBP', quality=QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {
        'source': f'data:image/webp;base64,{data}',
        'width': picture.width,
        'height': picture.height,
    }


def _edges(labels: np.ndarray) -> np.ndarray:
    """Pixels of objects within two of another label or of the border of the picture."""
    edge = np.zeros(labels.shape, bool)
    padded = np.pad(labels, 2)
    rows, columns = labels.shape
    for down, right in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 2), (3, 2), (2, 1), (2, 3)):
        edge |= padded[down : down + rows, right : right + columns] != labels
    return edge & (labels > 0)
