"""What a segmentor hands to a metric, and what is measured of it."""

import torch

from mmaslp import CalibrationMetric
from mmaslp.metrics import CalibrationHistogram


def sample(index, channels=1, size=(12, 9), ignore=False):
    """What a segmentor hands to a metric: one channel probabilities, more logits."""
    generator = torch.Generator().manual_seed(index)
    height, width = size[0] + index, size[1]
    logit = 2 * torch.randn(1, height, width, generator=generator)
    label = torch.rand(1, height, width, generator=generator) < torch.sigmoid(logit / 2)
    label = label.long()
    if ignore:
        label[:, :2] = 255
    scores = torch.sigmoid(logit)
    if channels == 2:
        scores = torch.cat([-logit / 2, logit / 2])
    return dict(
        seg_logits=dict(data=scores),
        gt_sem_seg=dict(data=label),
        img_path=f'{index}.jpg',
    )


def pooled(samples):
    histogram = CalibrationHistogram()
    for each in samples:
        histogram.update(each['seg_logits']['data'][0], each['gt_sem_seg']['data'][0])
    return histogram.compute()


def measured(samples, size=None, batch=3, **kwargs):
    metric = CalibrationMetric(**{'draw': False, **kwargs})
    for start in range(0, len(samples), batch):
        metric.process({}, samples[start : start + batch])
    return metric, metric.evaluate(len(samples) if size is None else size)
