"""What each figure means, in one sentence, and which direction is better."""

from dataclasses import dataclass

__all__ = ['Term', 'term']


@dataclass(frozen=True)
class Term:
    """A figure of a table.

    Args:
        key (str): Its name in results.
        label (str): Its name on a page.
        better (str): 'lower', 'higher' or '' where neither is better by itself.
        sentence (str): What it means.
    """

    key: str
    label: str
    better: str
    sentence: str

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        return {'lower': '↓', 'higher': '↑'}.get(self.better, '')

    def improves(self, old: float, new: float) -> bool:
        """Whether a change is in the better direction."""
        return (new < old) if self.better == 'lower' else (new > old)


_TERMS = (
    Term(
        'ece',
        'ECE',
        'lower',
        'Expected calibration error: the mean distance between confidence and '
        'accuracy over all pixels, in bins of equal width (their number is among the '
        'settings).',
    ),
    Term(
        'oe',
        'OE',
        'lower',
        'Over-confidence error: the part of the ECE in bins whose confidence is above '
        'the accuracy, each gap weighted by its confidence.',
    ),
    Term(
        'ue',
        'UE',
        'lower',
        'Under-confidence error: the same for bins whose confidence is below the '
        'accuracy.',
    ),
    Term(
        'ece_image',
        'ECE per image',
        'lower',
        'The mean over images of the ECE of each image on its own.',
    ),
    Term(
        'ece_band',
        'ECE by band',
        'lower',
        'The mean distance between confidence and accuracy over bands of distance from '
        'the predicted border: errors of opposite sign near and far do not offset.',
    ),
    Term(
        'mce', 'MCE', 'lower', 'Maximum calibration error: the largest gap of all bins.'
    ),
    Term(
        'brier',
        'Brier',
        'lower',
        'The mean squared distance between probability and mask; it also falls with '
        'better accuracy.',
    ),
    Term(
        'nll',
        'NLL',
        'lower',
        'The mean negative logarithm of the probability of the true class (natural '
        'logarithm); confident mistakes cost most.',
    ),
    Term('acc', 'accuracy', 'higher', 'The share of pixels whose class is right.'),
    Term(
        'conf',
        'confidence',
        '',
        'The mean confidence of all pixels; where it is above the accuracy, the model '
        'is over-confident on the whole.',
    ),
    Term(
        'mae',
        'MAE',
        'lower',
        'The mean absolute distance between probability and mask, over images.',
    ),
    Term(
        'max_f',
        'max F',
        'higher',
        'The largest F-measure over all thresholds of the map.',
    ),
    Term('mean_f', 'mean F', 'higher', 'The mean F-measure over all thresholds.'),
    Term(
        'adp_f',
        'adaptive F',
        'higher',
        'The F-measure at twice the mean of the map.',
    ),
    Term(
        'mean_e',
        'mean E',
        'higher',
        'The mean enhanced-alignment measure over all thresholds.',
    ),
    Term(
        'adp_e',
        'adaptive E',
        'higher',
        'The enhanced-alignment measure at twice the mean of the map.',
    ),
    Term(
        'weighted_f',
        'weighted F',
        'higher',
        'An F-measure of the map itself that weighs errors by where they lie.',
    ),
    Term(
        'max_e',
        'max E',
        'higher',
        'The largest enhanced-alignment measure over all thresholds.',
    ),
    Term(
        's',
        'S',
        'higher',
        'Structure measure: how alike the structures of map and mask are.',
    ),
    Term(
        'ap', 'AP', 'higher', 'Average precision of the foreground over all thresholds.'
    ),
    Term(
        'auc',
        'AUC',
        'higher',
        'Area under the ROC curve: how often a foreground pixel has a larger '
        'probability than one of the background.',
    ),
    Term(
        'mIoU %',
        'mIoU %',
        'higher',
        'Mean intersection over union of both classes, in per cent.',
    ),
    Term(
        'aAcc %',
        'pixel accuracy %',
        'higher',
        'The share of pixels whose class is right, in per cent.',
    ),
    Term(
        'mAcc %',
        'class accuracy %',
        'higher',
        'The same for each class on its own, averaged over the classes, in per cent.',
    ),
)
_BY_KEY = {each.key: each for each in _TERMS}


def term(key: str) -> Term:
    """Look a figure up; one that is not known keeps its name and has no direction."""
    return _BY_KEY.get(key, Term(key, key, '', 'See docs/metrics.md.'))
