import pytest
import torch

torchmetrics = pytest.importorskip(
    'torchmetrics', reason='needs the extra [integrations]'
)

from mmaslp.integrations.torchmetrics import BinaryCalibration  # noqa: E402
from tests.metric_samples import batches, filled  # noqa: E402


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
    values = collection.compute()
    expected = filled(BinaryCalibration).compute()
    # TorchMetrics puts the name of the metric before values that come twice.
    assert values['val_all_ece'] == expected['ece']
    assert values['val_ks'] == values['val_all_ks'] == expected['ks']


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_logits_lose_nothing_in_the_sigmoid(dtype):
    logits = torch.full((1, 16, 16), 8.0, dtype=dtype)
    logits[:, :8] = -8
    target = (logits > 0).long()
    target[:, 0], target[:, 15] = 1, 0
    half, full = BinaryCalibration('nll'), BinaryCalibration('nll')
    half.update(logits, target)
    full.update(logits.float(), target)
    assert half.compute() == full.compute() == pytest.approx(1.0003, abs=1e-3)
