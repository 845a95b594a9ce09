"""The page of a review: the most doubtful images first, their objects by colour."""

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from ..calibration.calibrator import Calibrator
from ..common.outputs import write_output
from ..files.names import short_names
from ..files.object_volumes import COLOURS, UNKNOWN
from ..files.review import Reviewed, range_said
from ..files.suspects import all_suspects
from ..files.volumes import place_text
from ..metrics.image_metrics import mean_of_known
from .page import render_page, time_text
from .tables import number_text
from .views import doubtful_objects

# Shares of the images that a person may have time for.
SHARES = (0.05, 0.1, 0.2, 0.5)
# Most objects, and most suspects, in the list of all images.
MOST_OBJECTS = 2000


def efforts(rows: Sequence[Reviewed], bias: float = 0.0) -> list[dict[str, float]]:
    """Say what looking at a part of the images leaves; images in order of review.

    ``number`` of images that a person looks at, the expected mean Dice of the ``rest``
    and its true one; nan of none, and without masks. ``bias`` is that of the
    :class:`~mmaslp.calibration.decisions.Decisions`.
    """
    expected = np.array([row.estimate.dice for row in rows]) + bias
    truth = np.array([row.truth.dice if row.truth else np.nan for row in rows])
    truth[np.isnan(expected)] = np.nan  # means of the same images
    numbers = dict.fromkeys([0, *(round(share * len(rows)) for share in SHARES)])
    return [
        {
            'number': number,
            'rest': float(mean_of_known(expected[number:])),
            'true_rest': float(mean_of_known(truth[number:])),
        }
        for number in numbers
    ]


def write_review_page(
    path: str | Path,
    rows: Sequence[Reviewed],
    calibrator: Calibrator,
    *,
    calibrator_file: str | Path | None = None,
    verdict: str = '',
    alarm: bool = False,
    title: str = 'Review',
    overwrite: bool = False,
) -> None:
    """Write the page; it needs no other file.

    Args:
        path (str | Path): Where to.
        rows (Sequence[Reviewed]): Of :func:`~mmaslp.files.review.review_maps`, with
            :func:`~mmaslp.report.views.views_of` as the extra ``'views'``.
        calibrator (Calibrator): That of the review.
        calibrator_file (str | Path, optional): Its file, which is named. Defaults to
            None.
        verdict (str): How the images compare with those of the fit, which is said
            before all. Defaults to ''.
        alarm (bool): Whether that is a warning. Defaults to False.
        title (str): Defaults to 'Review'.
        overwrite (bool): Replace a file that is there. Defaults to False.
    """
    names = short_names([row.name for row in rows])
    cards = [
        {
            'name': name,
            'row': row,
            'views': row.extras['views'],
            'objects': _objects(row),
        }
        for name, row in zip(names, rows)
        if 'views' in row.extras
    ]
    objects = [
        {'image': number, 'name': card['name'], **each}
        for number, card in enumerate(cards, 1)
        for each in card['objects']
    ]
    order = doubtful_objects(np.array([each['probability'] for each in objects]))

    places = {row.name: place for place, row in enumerate(rows, 1)}
    suspects = [
        {
            'image': places[row.name],
            'name': names[places[row.name] - 1],
            'is': each,
            'place': place_text(row.in_mm(each.box.mean(1)[None])[0]),
        }
        for row, each in all_suspects(rows)
    ]

    page = render_page(
        'review.html.j2',
        ['report.js', 'review.js'],
        title=title,
        created=time_text(),
        verdict=verdict,
        alarm=alarm,
        cards=cards,
        number=len(rows),
        objects=[objects[k] for k in order[:MOST_OBJECTS]],
        number_of_objects=len(objects),
        suspects=suspects[:MOST_OBJECTS] if 'suspects' in rows[0].extras else None,
        efforts=efforts(rows, calibrator.need_decisions().bias()),
        level=rows[0].estimate.level,
        with_truth=any(row.truth is not None for row in rows),
        with_volumes=any(row.grid is not None for row in rows),
        with_slices=any(row.objects.box.shape[1] == 3 for row in rows),
        outside=range_said(rows),
        silent=sum(np.isnan(row.estimate.dice) for row in rows),
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


def _objects(row: Reviewed) -> list[dict[str, Any]]:
    """Objects of an image, the least probable first."""
    table = row.objects
    mm = row.in_mm(table.centre)

    return [
        {
            'label': int(table.label[k]),
            'probability': float(table.probability[k]),
            'area': int(table.area[k]),
            'ml': float(table.area[k] * row.voxel / 1000),
            'place': place_text(mm[k]),
            'real': None
            if row.truth is None or not row.truth.known[k]
            else bool(row.truth.real[k]),
        }
        for k in doubtful_objects(table.probability)
    ]
