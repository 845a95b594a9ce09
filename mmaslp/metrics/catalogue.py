"""All metrics by key: what files, tables, reports and toolkits name them by."""

import re
from math import inf

from .errors import BIN_METRICS, PIXEL_METRICS, Metric
from .image_metrics import IMAGE_METRICS, MASK_METRICS

METRICS = (
    *BIN_METRICS,
    *PIXEL_METRICS,
    *IMAGE_METRICS,
    *MASK_METRICS,
    # Those that other libraries compute.
    Metric(
        'mae',
        None,
        'lower',
        'MAE',
        'The mean absolute distance between probability and mask, over images.',
        of='maps',
    ),
    Metric(
        'max_f',
        None,
        'higher',
        'max F',
        'The largest F-measure over all thresholds of the map.',
        of='maps',
    ),
    Metric(
        'mean_f',
        None,
        'higher',
        'mean F',
        'The mean F-measure over all thresholds.',
        of='maps',
    ),
    Metric(
        'adp_f',
        None,
        'higher',
        'adaptive F',
        'The F-measure at twice the mean of the map.',
        of='maps',
    ),
    Metric(
        'mean_e',
        None,
        'higher',
        'mean E',
        'The mean enhanced-alignment measure over all thresholds.',
        of='maps',
    ),
    Metric(
        'adp_e',
        None,
        'higher',
        'adaptive E',
        'The enhanced-alignment measure at twice the mean of the map.',
        of='maps',
    ),
    Metric(
        'weighted_f',
        None,
        'higher',
        'weighted F',
        'An F-measure of the map itself that weighs errors by where they are.',
        of='maps',
    ),
    Metric(
        'max_e',
        None,
        'higher',
        'max E',
        'The largest enhanced-alignment measure over all thresholds.',
        of='maps',
    ),
    Metric(
        's',
        None,
        'higher',
        'S',
        'Structure measure: how alike the structures of map and mask are.',
        of='maps',
    ),
    Metric(
        'ap',
        None,
        'higher',
        'AP',
        'Average precision of the foreground over all thresholds.',
        of='maps',
    ),
    Metric(
        'auc',
        None,
        'higher',
        'AUC',
        'Area under the ROC curve: how often a foreground pixel has a larger '
        'probability than one of the background.',
        of='maps',
    ),
    Metric(
        'mIoU %',
        None,
        'higher',
        'mIoU %',
        'Mean intersection over union of both classes, in per cent.',
        of='maps',
        high=100.0,
        unit='%',
    ),
    Metric(
        'aAcc %',
        None,
        'higher',
        'pixel accuracy %',
        'The share of pixels whose class is right.',
        of='maps',
        high=100.0,
        unit='%',
    ),
    Metric(
        'mAcc %',
        None,
        'higher',
        'class accuracy %',
        'The share of right pixels of a class, averaged over both classes.',
        of='maps',
        high=100.0,
        unit='%',
    ),
    Metric('gap', None, '', 'gap', 'Confidence less accuracy.', of='bins', low=-1.0),
    Metric('share', None, '', 'share', 'Share of the pixels.', of='bins'),
)
_BY_KEY = {metric.key: metric for metric in METRICS}
# Columns of tables; files have every metric.
SHOWN = (
    'ece',
    'ece_band',
    'brier',
    'nll',
    'acc',
    'conf',
    'dice',
    'iou',
    'ece_object',
    'dice_error',
)


def metric_of(key: str) -> Metric:
    """Look a metric up, also that of a band.

    An unknown one keeps its name, and may have any value.
    """
    metric = _BY_KEY.get(re.sub(r'^band\d+_', '', key))
    if metric is not None:
        return metric
    text = 'See the page of metrics in the documentation.'
    return Metric(key, label=key, text=text, low=-inf, high=inf)
