"""All metrics by key: what files, tables, reports and toolkits name them by."""

import re
from math import inf

from .errors import BIN_METRICS, PIXEL_METRICS, Metric
from .image_metrics import IMAGE_METRICS, MASK_METRICS

METRICS: tuple[Metric, ...] = (
    *BIN_METRICS,
    *PIXEL_METRICS,
    *IMAGE_METRICS,
    *MASK_METRICS,
    # Those that other libraries compute.
    Metric(
        key='mae',
        better='lower',
        label='MAE',
        text='The mean absolute distance between probability and mask, over images.',
    ),
    Metric(
        key='max_f',
        better='higher',
        label='max F',
        text='The largest F-measure over all thresholds of the map.',
    ),
    Metric(
        key='mean_f',
        better='higher',
        label='mean F',
        text='The mean F-measure over all thresholds.',
    ),
    Metric(
        key='adp_f',
        better='higher',
        label='adaptive F',
        text='The F-measure at twice the mean of the map.',
    ),
    Metric(
        key='mean_e',
        better='higher',
        label='mean E',
        text='The mean enhanced-alignment measure over all thresholds.',
    ),
    Metric(
        key='adp_e',
        better='higher',
        label='adaptive E',
        text='The enhanced-alignment measure at twice the mean of the map.',
    ),
    Metric(
        key='weighted_f',
        better='higher',
        label='weighted F',
        text='An F-measure of the map itself that weighs errors by where they are.',
    ),
    Metric(
        key='max_e',
        better='higher',
        label='max E',
        text='The largest enhanced-alignment measure over all thresholds.',
    ),
    Metric(
        key='s',
        better='higher',
        label='S',
        text='Structure measure: how alike the structures of map and mask are.',
    ),
    Metric(
        key='ap',
        better='higher',
        label='AP',
        text='Average precision of the foreground over all thresholds.',
    ),
    Metric(
        key='auc',
        better='higher',
        label='AUC',
        text=(
            'Area under the ROC curve: how often a foreground pixel has a larger '
            'probability than one of the background.'
        ),
    ),
    Metric(
        key='mIoU %',
        better='higher',
        label='mIoU %',
        text='Mean intersection over union of both classes, in per cent.',
        high=100.0,
        unit='%',
    ),
    Metric(
        key='aAcc %',
        better='higher',
        label='pixel accuracy %',
        text='The share of pixels whose class is right.',
        high=100.0,
        unit='%',
    ),
    Metric(
        key='mAcc %',
        better='higher',
        label='class accuracy %',
        text='The share of right pixels of a class, averaged over both classes.',
        high=100.0,
        unit='%',
    ),
    Metric(
        key='gap',
        label='gap',
        text='Confidence less accuracy.',
        low=-1.0,
    ),
    Metric(
        key='share',
        label='share',
        text='Share of the pixels.',
    ),
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
