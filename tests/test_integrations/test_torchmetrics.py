"""The contract of TorchMetrics, and every figure per pixel in float64."""

import copy
import doctest
import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

torchmetrics = pytest.importorskip(
    'torchmetrics', reason='needs the extra [integrations]'
)

from mmaslp.integrations import torchmetrics as ours  # noqa: E402
from mmaslp.integrations.torchmetrics import (  # noqa: E402
    BinaryCalibration,
    BinaryRegionCalibration,
    BinaryTemperature,
)

MAKERS = [BinaryCalibration, BinaryRegionCalibration, BinaryTemperature]
every_metric = pytest.mark.parametrize('make', MAKERS)


def batches(make, number=4, size=24):
    """Over-confident probabilities (or logits) and targets with ignored pixels."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        target = torch.zeros(2, 1, size, size, dtype=torch.int64)
        target[..., size // 3 :, size // 4 :] = 1
        noise = torch.randn(target.shape, generator=generator)
        logits = 3 * (2 * target - 1) + 4 * noise
        target[torch.rand(target.shape, generator=generator) < 0.1] = 255
        yield (logits if make is BinaryTemperature else logits.sigmoid()), target


def filled(make, part=slice(None)):
    metric = make()
    for preds, target in list(batches(make))[part]:
        metric.update(preds, target)
    return metric


def equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0, equal_nan=True)
    return True


@every_metric
def test_update_compute_and_reset(make):
    metric = filled(make)
    figures = metric.compute()
    assert all(value.shape == () for value in figures.values())
    assert not next(iter(figures.values())).isnan()
    for name in list(figures)[:2]:
        one = make(name)
        for batch in batches(make):
            one.update(*batch)
        assert one.compute() == figures[name]
    metric.reset()
    assert not any(state.any() for state in metric.metric_state.values())
    for batch in batches(make):
        metric.update(*batch)
    assert equal(metric.compute(), figures)


@every_metric
def test_forward_gives_the_batch_and_keeps_the_sum(make):
    metric = make()
    for number, (preds, target) in enumerate(batches(make)):
        assert equal(
            metric(preds, target), filled(make, slice(number, number + 1)).compute()
        )
    assert equal(metric.compute(), filled(make).compute())


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
def test_state_dict_holds_the_sums_if_asked(make):
    metric = filled(make)
    assert not metric.state_dict()
    metric.persistent(True)
    other = make()
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.update(*next(iter(batches(make))))  # or TorchMetrics warns
    metric.update(*next(iter(batches(make))))
    assert equal(other.compute(), metric.compute())


def test_a_collection_counts_once_for_metrics_of_the_same_sums():
    collection = torchmetrics.MetricCollection(
        dict(all=BinaryCalibration(), ks=BinaryCalibration('ks')), prefix='val_'
    )
    for preds, target in batches(BinaryCalibration):
        collection.update(preds, target)
    assert len(collection.compute_groups) == 1
    figures = collection.compute()
    expected = filled(BinaryCalibration).compute()
    # TorchMetrics puts the name of the metric before figures that come twice.
    assert figures['val_all_ece'] == expected['ece']
    assert figures['val_ks'] == figures['val_all_ks'] == expected['ks']


def test_figures_equal_their_definitions_in_float64():
    prob, target = map(torch.cat, zip(*batches(BinaryCalibration)))
    prob = prob.double().squeeze(1)
    target = target.squeeze(1)
    valid = (target != 255).numpy().ravel()
    p, y = prob.numpy().ravel()[valid], target.numpy().ravel()[valid]
    conf, right = np.maximum(p, 1 - p), (p > 0.5) == (y == 1)
    place = np.ceil(conf * 10).astype(int)
    gaps = [
        abs((conf - right)[place == k].sum()) for k in range(1, 11) if any(place == k)
    ]
    metric = BinaryCalibration().set_dtype('float64')
    metric.update(prob, target)
    figures = metric.compute()
    assert figures['ece'].dtype == torch.float64
    assert figures['ece'].item() == pytest.approx(sum(gaps) / len(p), abs=4e-6)
    assert figures['acc'].item() == pytest.approx(right.mean(), abs=1e-12)
    assert figures['brier'].item() == pytest.approx(((p - y) ** 2).mean(), abs=8e-6)
    regions = BinaryRegionCalibration().set_dtype(torch.float64)
    regions.update(prob, target)
    measured = regions.measured()
    assert measured['accuracy'] == pytest.approx(right.mean(), abs=1e-12)
    assert measured['confidence'] == pytest.approx(conf.mean(), abs=3e-8)
    share, gap = np.array(measured['region_share']), np.array(measured['region_gap'])
    full = share > 0
    assert share[full] @ gap[full] == pytest.approx((conf - right).mean(), abs=3e-8)
    assert regions.compute()['ece_region'].item() == share[full] @ abs(gap[full])


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


def test_temperature_leaves_what_it_cannot_mend():
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(40_000, generator=generator)
    target = (torch.rand(true.shape, generator=generator) < true.sigmoid()).long()
    metric = BinaryTemperature()
    metric.update(3 * true, target)
    figures = metric.compute()
    assert figures['temperature'].item() == pytest.approx(3, abs=0.15)
    assert figures['ece'] > 0.1 > 0.02 > figures['ece_scaled']
    assert figures['nll_scaled'] < figures['nll']


def test_no_optimum_is_nan_and_a_warning():
    metric = BinaryTemperature('temperature')
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([1, 1]))
    with pytest.warns(UserWarning, match='all 2 pixels are foreground'):
        assert metric.compute().isnan()


@every_metric
def test_without_pixels_everything_is_nan_but_sums(make):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        figures = make().compute()
    left = {name for name, value in figures.items() if not value.isnan()}
    assert left <= {'count'}


@every_metric
def test_plot(make):
    metric = filled(make)
    figure, axes = metric.plot()
    assert figure is not None and axes is not None
    metric.plot([metric.compute()] * 2)
    matplotlib = pytest.importorskip('matplotlib.pyplot')
    matplotlib.close('all')


def test_reliability_diagram():
    figure = filled(BinaryCalibration).reliability_diagram('toy')
    assert figure.axes[0].get_title() == 'toy'


@every_metric
def test_scripting_is_refused(make):
    with pytest.raises(NotImplementedError, match='script the network without'):
        torch.jit.script(make())


@every_metric
def test_sums_survive_other_types_of_the_module(make):
    metric = filled(make)
    before = {name: state.clone() for name, state in metric.metric_state.items()}
    torch.nn.ModuleList([metric]).half().to(torch.bfloat16).double()
    metric.set_dtype(torch.float16)
    assert equal(metric.metric_state, before)
    assert {value.dtype for value in metric.compute().values()} == {torch.float16}


@pytest.mark.parametrize(
    ('make', 'arguments', 'message'),
    [
        (BinaryCalibration, dict(metric='eze'), 'metric must be one of ece, oe'),
        (BinaryCalibration, dict(mode='all'), "mode must be one of .*'positive'"),
        (BinaryCalibration, dict(bins=0), 'bins'),
        (BinaryRegionCalibration, dict(edges=[2, 1]), 'ascending'),
        (BinaryRegionCalibration, dict(metric='region9_gap'), 'region4_gap'),
        (BinaryTemperature, dict(metric='T'), 'metric must be one of temperature'),
    ],
)
def test_wrong_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_logits_are_refused_and_nothing_is_counted():
    metric = BinaryCalibration()
    with pytest.raises(ValueError, match='apply sigmoid'):
        metric.update(torch.tensor([3.0]), torch.tensor([1]))
    assert not metric.counts.any()


def test_examples():
    extra = dict(torch=torch)
    assert doctest.testmod(ours, extraglobs=extra).failed == 0


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
    queue.put((rank, results, [metric.measured() for metric in metrics[:2]]))
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
    for _, results, measured in answers:
        np.testing.assert_equal(results, expected)  # nan equals nan
        np.testing.assert_equal(measured, [metric.measured() for metric in one[:2]])
