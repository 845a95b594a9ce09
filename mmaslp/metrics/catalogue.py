"""All metrics by key: what files, tables, reports and toolkits name them by."""

import re

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
    ),
    Metric(
        'max_f',
        None,
        'higher',
        'max F',
        'The largest F-measure over all thresholds of the map.',
    ),
    Metric(
        'mean_f',
        None,
        'higher',
        'mean F',
        'The mean F-measure over all thresholds.',
    ),
    Metric(
        'adp_f',
        None,
        'higher',
        'adaptive F',
        'The F-measure at twice the mean of the map.',
    ),
    Metric(
        'mean_e',
        None,
        'higher',
        'mean E',
        'The mean enhanced-alignment measure over all thresholds.',
    ),
    Metric(
        'adp_e',
        None,
        'higher',
        'adaptive E',
        'The enhanced-alignment measure at twice the mean of the map.',
    ),
    Metric(
        'weighted_f',
        None,
        'higher',
        'weighted F',
        'An F-measure of the map itself that weighs errors by where they lie.',
    ),
    Metric(
        'max_e',
        None,
        'higher',
        'max E',
        'The largest enhanced-alignment measure over all thresholds.',
    ),
    Metric(
        's',
        None,
        'higher',
        'S',
        'Structure measure: how alike the structures of map and mask are.',
    ),
    Metric(
        'ap',
        None,
        'higher',
        'AP',
        'Average precision of the foreground over all thresholds.',
    ),
    Metric(
        'auc',
        None,
        'higher',
        'AUC',
        'Area under the ROC curve: how often a foreground pixel has a larger '
        'probability than one of the background.',
    ),
    Metric(
        'mIoU %',
        None,
        'higher',
        'mIoU %',
        'Mean intersection over union of both classes, in per cent.',
    ),
    Metric(
        'aAcc %',
        None,
        'higher',
        'pixel accuracy %',
        'The share of pixels whose class is right.',
    ),
    Metric(
        'mAcc %',
        None,
        'higher',
        'class accuracy %',
        'The share of right pixels of a class, averaged over both classes.',
    ),
    Metric('gap', None, '', 'gap', 'Confidence less accuracy.'),
    Metric('share', None, '', 'share', 'Share of the pixels.'),
)
_BY_KEY = {metric.key: metric for metric in METRICS}
# Columns of tables; files have every metric.
SHOWN = (
    *('ece', 'ece_band', 'brier', 'nll', 'acc', 'conf'),
    *('dice', 'iou', 'ece_object', 'dice_error'),
)


def metric_of(key: str) -> Metric:
    """Look a metric up, also that of a band; an unknown one keeps its name."""
    return _BY_KEY.get(re.sub(r'^band\d+_', '', key)) or Metric(
        key, None, '', key, 'See the page of metrics in the documentation.'
    )
