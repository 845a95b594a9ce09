"""Figures as sentences and as text tables."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from ..common.bands import BORDER_EDGES
from ..evaluation.result import Result
from ..files.names import display_name
from ..metrics.catalogue import SHOWN, metric_of

# Axes of the diagrams, the first by mode.
CONFIDENCE = {
    'top_label': 'confidence in the prediction',
    'positive': 'probability of foreground',
}
DISTANCE = 'distance from the predicted border\n(1/64 of the side of the image)'
# Names of the bands, that at the border first.
BANDS = (
    *(f'{low:g}–{high:g}' for low, high in pairwise([0, *BORDER_EDGES])),
    f'above {BORDER_EDGES[-1]:g}',
)


MEAN = 'mean'

Row = Mapping[str, float | None]


def metric_text(value: float | None) -> str:
    """Format one number."""
    if value is None or math.isnan(value):
        return '-'
    return f'{value:.4f}'


def with_interval(result: Result, key: str) -> str:
    """Format a metric of a result and its interval, if there is one."""
    ends = [metric_text(end) for end in result.intervals.get(key, ())]
    interval = f' [{", ".join(ends)}]' if ends and '-' not in ends else ''
    return metric_text(result.metrics.get(key)) + interval


def with_mean(rows: Mapping[str, Row], apart: Collection[str] = ()) -> dict[str, Row]:
    """Add a row of means over the rows where a metric is defined."""
    left_out = {name: row for name, row in rows.items() if name in apart}
    rows = {name: row for name, row in rows.items() if name not in apart}
    if len(rows) < 2:
        return {**rows, **left_out}
    keys = dict.fromkeys(key for row in rows.values() for key in row)
    mean = {}
    for key in keys:
        values = [row.get(key) for row in rows.values()]
        values = [v for v in values if v is not None and not math.isnan(v)]
        mean[key] = sum(values) / len(values) if values else math.nan
    return {**rows, MEAN: mean, **left_out}


def in_words(result: Result) -> str:
    """Say how sure and how right a network is, on all pixels and at the border."""
    confidence = result.metrics['conf']
    accuracy = result.metrics['acc']
    text = f'{display_name(result.model)}: {_sure_and_right(confidence, accuracy)}'
    bands = result.bands.get('predicted')
    if bands is not None and bands.count[0]:
        border = _sure_and_right(bands.mean_conf[0], bands.accuracy[0])
        text += f'; at the border of its masks {border}'

    if confidence == 1:
        text += (
            '. All probabilities are 0 or 1, as of masks: give the maps before the '
            'cut, and the folder of masks last'
        )

    objects = result.positive['acc']
    if objects in (0, 1):
        text += f'. All masks are {"full" if objects else "empty"}'
    elif accuracy <= max(objects, 1 - objects):
        text += ', no more than without a network: see that foreground is 1 in masks'

    return f'{text}.'


def _sure_and_right(confidence: float, accuracy: float) -> str:
    points = round(round(100 * confidence, 1) - round(100 * accuracy, 1), 1)
    verdict = f'too sure by {points}' if points > 0 else f'not sure enough by {-points}'
    return f'{confidence:.1%} sure, {accuracy:.1%} right' + (
        f' ({verdict} points)' if points else ''
    )


def format_table(rows: Mapping[str, Row], keys: Sequence[str] = SHOWN) -> str:
    """Lay out metrics as a text table, under the names that reports have."""
    lines = [['', *(metric_of(key).label for key in keys)]]
    for name, row in rows.items():
        lines.append([display_name(name), *(metric_text(row.get(key)) for key in keys)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )
