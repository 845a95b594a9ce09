"""Words and rows of figures: what each means, and text tables."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..common.bands import BORDER_EDGES
from ..files.names import shown

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


class Term(NamedTuple):
    """A figure; ``better`` is 'lower', 'higher' or '' where neither is better."""

    key: str
    label: str
    better: str = ''
    sentence: str = ''

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        return {'lower': '↓', 'higher': '↑'}.get(self.better, '')


_LOWER = {
    'ece': 'ECE: Expected calibration error: the mean distance between confidence and '
    'accuracy over all pixels, in bins of equal width.',
    'oe': 'over-confidence error: The part of the ECE in bins whose confidence is '
    'above the accuracy, each gap weighted by its confidence (OE).',
    'ue': 'under-confidence error: The same for bins whose confidence is below the '
    'accuracy (UE).',
    'ece_image': 'ECE per image: The mean over images of the ECE of each image alone.',
    'ece_band': 'ECE by band: The mean distance between confidence and accuracy over '
    'bands of distance from the predicted border. Errors of opposite sign near the '
    'border and far from it do not offset.',
    'mce': 'MCE: Maximum calibration error: the largest gap of all bins.',
    'brier': 'Brier score: The mean squared distance between probability and mask. It '
    'also falls with better accuracy.',
    'nll': 'NLL: The mean negative logarithm of the probability of the true class. '
    'Confident mistakes cost most.',
    'mae': 'MAE: The mean absolute distance between probability and mask, over images.',
}
_HIGHER = {
    'acc': 'accuracy: The share of pixels whose class is right.',
    'dice': 'Dice: Twice the pixels that the predicted and the true masks share, over '
    'the pixels of both, over all images together.',
    'iou': 'IoU: Intersection over union of the predicted and the true masks, over all '
    'images together.',
    'max_f': 'max F: The largest F-measure over all thresholds of the map.',
    'mean_f': 'mean F: The mean F-measure over all thresholds.',
    'adp_f': 'adaptive F: The F-measure at twice the mean of the map.',
    'mean_e': 'mean E: The mean enhanced-alignment measure over all thresholds.',
    'adp_e': 'adaptive E: The enhanced-alignment measure at twice the mean of the map.',
    'weighted_f': 'weighted F: An F-measure of the map itself that weighs errors by '
    'where they lie.',
    'max_e': 'max E: The largest enhanced-alignment measure over all thresholds.',
    's': 'S: Structure measure: how alike the structures of map and mask are.',
    'ap': 'AP: Average precision of the foreground over all thresholds.',
    'auc': 'AUC: Area under the ROC curve: how often a foreground pixel has a larger '
    'probability than one of the background.',
    'mIoU %': 'mIoU %: Mean intersection over union of both classes, in per cent.',
    'aAcc %': 'pixel accuracy %: The share of pixels whose class is right.',
    'mAcc %': 'class accuracy %: The share of right pixels of a class, averaged over '
    'both classes.',
}
_NEITHER = {
    'conf': 'confidence: The mean confidence of all pixels. Above the accuracy, the '
    'model is over-confident on the whole.',
}


def term(key: str) -> Term:
    """Look a figure up; one that is not known keeps its name and has no direction."""
    for better, texts in (('lower', _LOWER), ('higher', _HIGHER), ('', _NEITHER)):
        if key in texts:
            label, sentence = texts[key].split(': ', 1)
            return Term(key, label, better, sentence)
    return Term(key, key, sentence='See the page of metrics in the documentation.')


# What tables show; files have more.
CALIBRATION_KEYS = ('ece', 'ece_band', 'brier', 'nll', 'acc', 'conf', 'dice', 'iou')
MEAN = 'mean'

Row = Mapping[str, float | None]


def metric_text(value: float | None) -> str:
    """Format one number."""
    if value is None or math.isnan(value):
        return '-'
    return f'{value:.4f}'


def with_interval(result: Mapping[str, Any], key: str) -> str:
    """Format a metric of a result and its interval, if there is one."""
    ends = [metric_text(end) for end in result.get('intervals', {}).get(key, ())]
    interval = f' [{", ".join(ends)}]' if ends and '-' not in ends else ''
    return metric_text(result.get(key)) + interval


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


def in_words(result: Mapping[str, Any]) -> str:
    """Say how sure and how right a network is, on all pixels and at the border."""
    text = f'{shown(result["model"])}: {_sure_and_right(result["conf"], result["acc"])}'
    bands = result.get('bands', {}).get('predicted')
    if bands and bands['count'][0]:
        border = _sure_and_right(bands['confidence'][0], bands['accuracy'][0])
        text += f'; at the border of its masks {border}'

    if result['conf'] == 1:
        text += (
            '. All probabilities are 0 or 1, as of masks: give the maps before the '
            'cut, and the folder of masks last'
        )

    objects = result['positive']['acc']
    if objects in (0, 1):
        text += f'. All masks are {"full" if objects else "empty"}'
    elif result['acc'] <= max(objects, 1 - objects):
        text += ', no more than without a network: see that foreground is 1 in masks'

    return f'{text}.'


def _sure_and_right(confidence: float, accuracy: float) -> str:
    points = round(round(100 * confidence, 1) - round(100 * accuracy, 1), 1)
    said = f'too sure by {points}' if points > 0 else f'not sure enough by {-points}'
    return f'{confidence:.1%} sure, {accuracy:.1%} right' + (
        f' ({said} points)' if points else ''
    )


def format_table(
    rows: Mapping[str, Row], keys: Sequence[str] = CALIBRATION_KEYS
) -> str:
    """Lay out metrics as a text table, under the names that reports have."""
    lines = [['', *(term(key).label for key in keys)]]
    for name, row in rows.items():
        lines.append([shown(name), *(metric_text(row.get(key)) for key in keys)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )
