"""The page of a review: the most doubtful images first, their objects by colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ..calibration.calibrator import Calibrator
from ..calibration.decisions import Decisions
from ..calibration.estimates import without_bias
from ..common.outputs import write_output
from ..files.names import short_names
from ..files.object_volumes import COLOURS, UNKNOWN
from ..files.reviews import Reviewed, Suspect, all_suspects
from ..files.volumes import place_text
from ..metrics.image_metrics import mean_of_known
from ..workflows.review import range_said, unknown_dice_said
from .page import render_page, time_text
from .tables import number_text
from .views import View, doubtful_objects

# Shares of the images that a person may have time for.
SHARES = (0.05, 0.1, 0.2, 0.5)
# Most objects, and most suspects, in the list of all images.
MOST_OBJECTS = 2000


@dataclass(frozen=True)
class Effort:
    """What looking at the first images of a review leaves.

    Attributes:
        number (int): Of images that a person looks at.
        rest (float): Mean Dice to expect of the others; nan of none.
        true_rest (float): Their true one; nan also without masks.
    """

    number: int
    rest: float
    true_rest: float


@dataclass(frozen=True)
class ShownObject:
    """An object in a table of a page.

    Attributes:
        image (int): Place of its image on the page, from 1 on.
        name (str): Name of the image.
        label (int): Its number in the image.
        probability (float): That it is real; nan where it is not known.
        area (int): In pixels.
        ml (float): Its volume; nan of an image.
        place (str): Its centre in mm, in words.
        real (bool | None): Whether it is; None where it is not known.
    """

    image: int
    name: str
    label: int
    probability: float
    area: int
    ml: float
    place: str
    real: bool | None


@dataclass(frozen=True)
class Card:
    """An image of a page: its row of the review, its pictures, its objects."""

    name: str
    row: Reviewed
    views: Sequence[View]
    objects: Sequence[ShownObject]


@dataclass(frozen=True)
class ShownSuspect:
    """A label that is probably wrong, in a table of a page.

    ``image`` is the place of its image in the review, from 1 on.
    """

    image: int
    name: str
    suspect: Suspect
    place: str


def efforts(rows: Sequence[Reviewed], decisions: Decisions) -> list[Effort]:
    """Say what looking at a part of the images leaves; images in order of review."""
    expected = without_bias(decisions, [row.estimate for row in rows])
    truth = np.full(len(rows), np.nan)
    for place, row in enumerate(rows):
        if row.truth is not None:
            truth[place] = row.truth.dice
    truth[np.isnan(expected)] = np.nan  # means of the same images

    told = []
    for number in sorted({0} | {round(share * len(rows)) for share in SHARES}):
        rest = float(mean_of_known(expected[number:]))
        true_rest = float(mean_of_known(truth[number:]))
        told.append(Effort(number, rest, true_rest))
    return told


def write_review_page(
    path: str | Path,
    rows: Sequence[Reviewed],
    calibrator: Calibrator,
    *,
    calibrator_file: str | Path | None = None,
    verdict: str = '',
    alarm: bool = False,
    overwrite: bool = False,
) -> None:
    """Write the page; it needs no other file.

    Args:
        path (str | Path): Where to.
        rows (Sequence[Reviewed]): Of :func:`~mmaslp.workflows.review.review_maps`, with
            :func:`~mmaslp.report.views.views_of` as the extra ``'views'``.
        calibrator (Calibrator): That of the review.
        calibrator_file (str | Path, optional): Its file, which is named. Defaults to
            None.
        verdict (str): How the images compare with those of the fit, which is said
            before all. Defaults to ''.
        alarm (bool): Whether that is a warning. Defaults to False.
        overwrite (bool): Replace a file that is there. Defaults to False.
    """
    names = short_names([row.name for row in rows])
    cards = _cards(names, rows)
    objects = _all_objects(cards)
    suspects = None
    if 'suspects' in rows[0].extras:
        suspects = _suspects(names, rows)[:MOST_OBJECTS]

    page = render_page(
        'review.html.j2',
        ['report.js', 'review.js'],
        title='Review',
        created=time_text(),
        verdict=verdict,
        alarm=alarm,
        cards=cards,
        number=len(rows),
        objects=objects[:MOST_OBJECTS],
        number_of_objects=len(objects),
        suspects=suspects,
        efforts=efforts(rows, calibrator.need_decisions()),
        level=rows[0].estimate.level,
        with_truth=any(row.truth is not None for row in rows),
        with_volumes=any(row.grid is not None for row in rows),
        with_slices=any(row.objects.box.shape[1] == 3 for row in rows),
        outside=range_said(rows),
        silent=sum(np.isnan(row.estimate.dice) for row in rows),
        silent_said=unknown_dice_said(rows, calibrator.need_decisions()),
        calibrator=_provenance(calibrator, calibrator_file),
        measured=calibrator.summary(),
        text=number_text,
        legend=_LEGEND,
    )
    write_output(path, page.encode(errors='backslashreplace'), overwrite)


_LEGEND = (
    (COLOURS[0][1], 'real with a probability of 80 % or more'),
    (COLOURS[1][1], '50 to 80 %'),
    (COLOURS[2][1], 'below 50 %'),
    (UNKNOWN, 'unknown'),
)


def _provenance(calibrator: Calibrator, file: str | Path | None) -> dict[str, str]:
    """Say which calibrator this is, and of how many images."""
    facts = {}
    if file is not None:
        changed = datetime.fromtimestamp(Path(file).stat().st_mtime, timezone.utc)
        facts['file'] = f'{Path(file).name}, written on {changed:%Y-%m-%d}'
    if 'images' in calibrator.record:
        facts['validation images'] = f'{calibrator.record["images"]:,}'
    return facts


def _cards(names: Sequence[str], rows: Sequence[Reviewed]) -> list[Card]:
    """The images that have pictures, with their names on the page."""
    cards: list[Card] = []
    for name, row in zip(names, rows):
        if 'views' in row.extras:
            objects = _objects(row, image=len(cards) + 1, name=name)
            cards.append(Card(name, row, row.extras['views'], objects))
    return cards


def _objects(row: Reviewed, image: int, name: str) -> list[ShownObject]:
    """Objects of an image, the least probable first."""
    table = row.objects
    mm = row.in_mm(table.centre)
    objects = []
    for k in doubtful_objects(table.probability):
        real = None
        if row.truth is not None and row.truth.known[k]:
            real = bool(row.truth.real[k])
        objects.append(
            ShownObject(
                image=image,
                name=name,
                label=int(table.label[k]),
                probability=float(table.probability[k]),
                area=int(table.area[k]),
                ml=float(table.area[k] * row.voxel / 1000),
                place=place_text(mm[k]),
                real=real,
            )
        )
    return objects


def _all_objects(cards: Sequence[Card]) -> list[ShownObject]:
    """Objects of all images, the least probable first."""
    objects: list[ShownObject] = []
    for card in cards:
        objects += card.objects
    probability = np.array([shown.probability for shown in objects])
    return [objects[k] for k in doubtful_objects(probability)]


def _suspects(names: Sequence[str], rows: Sequence[Reviewed]) -> list[ShownSuspect]:
    """Labels that are probably wrong, of all images."""
    places = {row.name: place for place, row in enumerate(rows)}
    shown = []
    for row, suspect in all_suspects(rows):
        place = places[row.name]
        centre = suspect.box.mean(1)
        text = place_text(row.in_mm(centre[None])[0])
        shown.append(ShownSuspect(place + 1, names[place], suspect, text))
    return shown
