"""The words of a report: what each figure means, and which direction is better."""

from itertools import pairwise
from typing import NamedTuple

from ..core.bands import BORDER_EDGES

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
