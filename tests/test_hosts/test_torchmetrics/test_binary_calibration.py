import numpy as np
import pytest
import torch

torchmetrics = pytest.importorskip(
    'torchmetrics', reason='needs the extra [integrations]'
)

from mmaslp.hosts.torchmetrics import BinaryCalibration  # noqa: E402
from tests.metric_samples import batches, filled  # noqa: E402


def test_figures_equal_their_definitions_in_float64():
    prob, target = map(torch.cat, zip(*batches()))
    prob = prob.double().squeeze(1)
    target = target.squeeze(1)
    valid = (target != 255).numpy().ravel()
    p, y = prob.numpy().ravel()[valid], target.numpy().ravel()[valid]
    conf, right = np.maximum(p, 1 - p), (p > 0.5) == (y == 1)
    place = np.ceil(conf * 10).astype(int)
    gaps = [
        abs((conf - right)[place == k].sum()) for k in range(1, 11) if any(place == k)
    ]
    metric = BinaryCalibration(ignore_index=255).set_dtype('float64')
    metric.update(prob, target)
    figures = metric.compute()
    assert figures['ece'].dtype == torch.float64
    assert figures['ece'].item() == pytest.approx(sum(gaps) / len(p), abs=4e-6)
    assert figures['acc'].item() == pytest.approx(right.mean(), abs=1e-12)
    assert figures['brier'].item() == pytest.approx(((p - y) ** 2).mean(), abs=8e-6)


def test_sums_of_float32_drift_and_ours_do_not():
    """One confidence of 0.7, right in 70 % of four million pixels."""
    target = (torch.arange(4_000_000) % 10 < 7).long()
    preds = torch.full(target.shape, 0.7)
    theirs = torchmetrics.classification.BinaryCalibrationError(n_bins=10)
    theirs.update(preds, target)
    mine = BinaryCalibration('ece', mode='positive')
    mine.update(preds, target)
    assert mine.compute() < 4e-6
    assert theirs.compute() > 1e-4


def test_a_collection_counts_once_for_metrics_of_the_same_sums():
    collection = torchmetrics.MetricCollection(
        dict(
            all=BinaryCalibration(ignore_index=255),
            ks=BinaryCalibration('ks', ignore_index=255),
        ),
        prefix='val_',
    )
    for preds, target in batches():
        collection.update(preds, target)
    assert len(collection.compute_groups) == 1
    figures = collection.compute()
    expected = filled(BinaryCalibration).compute()
    # TorchMetrics puts the name of the metric before figures that come twice.
    assert figures['val_all_ece'] == expected['ece']
    assert figures['val_ks'] == figures['val_all_ks'] == expected['ks']
