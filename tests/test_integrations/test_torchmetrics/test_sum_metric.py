"""The contract of TorchMetrics, for all metrics."""

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

torchmetrics = pytest.importorskip(
    'torchmetrics', reason='needs the extra [integrations]'
)

from mmaslp.integrations.torchmetrics import (  # noqa: E402
    BinaryBandCalibration,
    BinaryCalibration,
)
from mmaslp.metrics import BandTable, CalibrationHistogram  # noqa: E402
from tests.metric_samples import MAKERS, batches, equal, filled  # noqa: E402

every_metric = pytest.mark.parametrize('make', MAKERS)


@every_metric
def test_update_compute_and_reset(make):
    metric = filled(make)
    values = metric.compute()
    assert all(value.shape == () for value in values.values())
    assert not next(iter(values.values())).isnan()
    for name in list(values)[:2]:
        one = make(name, ignore_index=255)
        for batch in batches():
            one.update(*batch)
        assert one.compute() == values[name]
    metric.reset()
    assert not any(state.any() for state in metric.metric_state.values())
    for batch in batches():
        metric.update(*batch)
    assert equal(metric.compute(), values)


@pytest.mark.parametrize(
    ('make', 'counter'),
    [(BinaryCalibration, CalibrationHistogram), (BinaryBandCalibration, BandTable)],
)
def test_figures_are_those_of_the_core(make, counter):
    metric, whole = filled(make).set_dtype(torch.float16), counter()
    for prob, target in batches():
        whole.update(prob, target)
    found, expected = metric.compute(), whole.compute()
    for name in {*found} & {*expected}:
        np.testing.assert_equal(found[name].item(), float(np.float32(expected[name])))
    assert metric.higher_is_better is None
    better = {name: make(name).higher_is_better for name in found}
    assert {better.get(name) for name in ('ece', 'ece_band', 'nll')} == {False, None}
    assert {better.get(name) for name in ('acc', 'band0_acc')} == {True, None}
    neither = ('conf', 'band0_gap', 'band0_share', 'sweep_bins')
    assert {better.get(name) for name in neither} == {None}


@every_metric
def test_merge_clone_and_pickle(make):
    whole = filled(make).compute()
    metric = filled(make, slice(0, 3))
    metric.merge_state(filled(make, slice(3, None)))
    assert equal(metric.compute(), whole)
    clone = metric.clone()
    clone.reset()
    assert equal(metric.compute(), whole)
    assert equal(pickle.loads(pickle.dumps(metric)).compute(), whole)
    assert equal(copy.deepcopy(metric).compute(), whole)


@every_metric
def test_logits_become_probabilities_as_in_torchmetrics(make):
    expected = filled(make)
    metric = make(ignore_index=255)
    for preds, target in batches():
        metric.update(preds.logit(eps=1e-7), target)
    assert metric.metric_state.keys() == expected.metric_state.keys()
    for name, value in metric.compute().items():
        torch.testing.assert_close(
            value, expected.compute()[name], rtol=1e-3, atol=1e-4, equal_nan=True
        )
    # Ignored pixels are not read: probabilities beside them stay what they are.
    metric.reset()
    for preds, target in batches():
        beyond = 14 * (preds > 0.5).float() - 7  # on the same side
        metric.update(preds.where(target != 255, beyond), target)
    assert equal(metric.compute(), expected.compute())


@every_metric
def test_masks_of_0_and_255_are_an_error_unless_255_is_ignored(make):
    metric = make()
    with pytest.raises(ValueError, match='masks of 0 and 255'):
        metric.update(torch.rand(1, 1, 8, 8), torch.full((1, 8, 8), 255))
    assert not any(state.any() for state in metric.metric_state.values())
    metric.update(torch.rand(1, 1, 8, 8), torch.ones(1, 8, 8))


@pytest.mark.parametrize(
    ('make', 'arguments', 'message'),
    [
        (BinaryCalibration, dict(metric='eze'), 'metric must be one of ece, oe'),
        (BinaryCalibration, dict(mode='all'), 'mode must be one of .*positive'),
        (BinaryCalibration, dict(n_bins=0), 'bins'),
        (BinaryBandCalibration, dict(metric='band9_gap'), 'band4_gap'),
    ],
)
def test_wrong_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def measure(rank, world, port, queue):
    torch.distributed.init_process_group(
        'gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=world
    )
    # Another number of batches in each process.
    part = slice(0, 1) if rank == 0 else slice(1, None)
    metrics = [filled(make, part) for make in MAKERS]
    results = [
        {name: value.item() for name, value in metric.compute().items()}
        for metric in metrics
    ]
    queue.put(results)
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one_bit_by_bit(free_port):
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    workers = [
        context.Process(target=measure, args=(rank, 2, free_port, queue))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    answers = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    one = [filled(make) for make in MAKERS]
    expected = [{k: v.item() for k, v in metric.compute().items()} for metric in one]
    for results in answers:
        np.testing.assert_equal(results, expected)  # nan equals nan
