"""Over-confident maps for the tests of the metrics of TorchMetrics."""

import torch

from mmaslp.integrations.torchmetrics import BinaryBandCalibration, BinaryCalibration

MAKERS = [BinaryCalibration, BinaryBandCalibration]


def batches(number=4, size=24):
    """Over-confident probabilities and targets with ignored pixels, 255."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        target = torch.zeros(2, 1, size, size, dtype=torch.int64)
        target[..., size // 3 :, size // 4 :] = 1
        noise = torch.randn(target.shape, generator=generator)
        logits = 3 * (2 * target - 1) + 4 * noise
        target[torch.rand(target.shape, generator=generator) < 0.1] = 255
        yield logits.sigmoid(), target


def filled(make, part=slice(None), **options):
    metric = make(ignore_index=255, **options)
    for preds, target in list(batches())[part]:
        metric.update(preds, target)
    return metric


def equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0, equal_nan=True)
    return True
