"""All metrics by key: what files, tables, reports and toolkits name them by."""

import re

from .errors import BIN_METRICS, PIXEL_METRICS, Metric
from .image_metrics import IMAGE_METRICS, MASK_METRICS


def _elsewhere(key: str, better: str, label: str, text: str) -> Metric:
    """A metric that another library computes."""
    return Metric(key, None, better, label, text)


METRICS = (
    *BIN_METRICS,
    *PIXEL_METRICS,
    *IMAGE_METRICS,
    *MASK_METRICS,
    _elsewhere(
        'mae',
        'lower',
        'MAE',
        'The mean absolute distance between probability and mask, over images.',
    ),
    _elsewhere(
        'max_f',
        'higher',
        'max F',
        'The largest F-measure over all thresholds of the map.',
    ),
    _elsewhere(
        'mean_f',
        'higher',
        'mean F',
        'The mean F-measure over all thresholds.',
    ),
    _elsewhere(
        'adp_f',
        'higher',
        'adaptive F',
        'The F-measure at twice the mean of the map.',
    ),
    _elsewhere(
        'mean_e',
        'higher',
        'mean E',
        'The mean enhanced-alignment measure over all thresholds.',
    ),
    _elsewhere(
        'adp_e',
        'higher',
        'adaptive E',
        'The enhanced-alignment measure at twice the mean of the map.',
    ),
    _elsewhere(
        'weighted_f',
        'higher',
        'weighted F',
        'An F-measure of the map itself that weighs errors by where they lie.',
    ),
    _elsewhere(
        'max_e',
        'higher',
        'max E',
        'The largest enhanced-alignment measure over all thresholds.',
    ),
    _elsewhere(
        's',
        'higher',
        'S',
        'Structure measure: how alike the structures of map and mask are.',
    ),
    _elsewhere(
        'ap',
        'higher',
        'AP',
        'Average precision of the foreground over all thresholds.',
    ),
    _elsewhere(
        'auc',
        'higher',
        'AUC',
        'Area under the ROC curve: how often a foreground pixel has a larger '
        'probability than one of the background.',
    ),
    _elsewhere(
        'mIoU %',
        'higher',
        'mIoU %',
        'Mean intersection over union of both classes, in per cent.',
    ),
    _elsewhere(
        'aAcc %',
        'higher',
        'pixel accuracy %',
        'The share of pixels whose class is right.',
    ),
    _elsewhere(
        'mAcc %',
        'higher',
        'class accuracy %',
        'The share of right pixels of a class, averaged over both classes.',
    ),
    _elsewhere('gap', '', 'gap', 'Confidence less accuracy.'),
    _elsewhere('share', '', 'share', 'Share of the pixels.'),
)
_BY_KEY = {metric.key: metric for metric in METRICS}
# Columns of tables; files have every metric.
SHOWN = (
    *('ece', 'ece_band', 'brier', 'nll', 'acc', 'conf'),
    *('dice', 'iou', 'ece_object', 'dice_error'),
)


def metric_of(key: str) -> Metric:
    """Look a metric up, also that of a band; an unknown one keeps its name."""
    name = re.sub(r'^band\d+_', '', key)
    if name in _BY_KEY:
        return _BY_KEY[name]
    return _elsewhere(key, '', key, 'See the page of metrics in the documentation.')
