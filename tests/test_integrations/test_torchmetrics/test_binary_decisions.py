import multiprocessing

import numpy as np
import pytest
import torch

pytest.importorskip('torchmetrics', reason='needs the extra [integrations]')

from mmaslp import fit_calibrator, functional
from mmaslp.integrations.torchmetrics import BinaryDecisions
from tests.test_calibration.object_scenes import discs


def batches(number=12):
    prob, label = zip(*(discs(k) for k in range(number)))
    prob, label = torch.as_tensor(np.stack(prob)), torch.as_tensor(np.stack(label))
    label[2] = 0
    label[::4, :3] = 255
    return [*zip(prob.split(5), label.split(5))]


def counted(own, **options):
    metric = BinaryDecisions(ignore_index=255, **options)
    for preds, target in own:
        metric.update(preds, target)
    return metric


def test_batches_are_the_whole_set():
    found = counted(batches()).compute()
    prob, label = (torch.cat(parts) for parts in zip(*batches()))
    functions = {
        'ece_object': functional.object_calibration_error,
        'auroc_object': functional.object_auroc,
        'dice_error': functional.dice_error,
        'aurc': functional.aurc,
        'empty_found': functional.empty_found,
        'empty_area': functional.empty_area,
    }
    assert found.keys() == functions.keys()
    for name, function in functions.items():
        expected = function(prob, label, ignore_index=255)
        assert found[name].item() == pytest.approx(expected, abs=1e-6)
        alone = counted(batches(), metric=name).compute()
        assert alone == found[name]


def test_without_images_figures_are_nan():
    assert all(value.isnan() for value in BinaryDecisions().compute().values())
    with pytest.raises(ValueError, match='metric must be one of ece_object'):
        BinaryDecisions('ece')


def test_a_calibrator_says_more_than_probabilities():
    calibrator = fit_calibrator(*zip(*(discs(k) for k in range(100, 140))))
    before = counted(batches(20)).compute()
    after = counted(batches(20), calibrator=calibrator).compute()
    assert after['ece_object'] < before['ece_object']


def measure(rank, port, queue):
    torch.distributed.init_process_group(
        'gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank
    )
    found = counted(batches()[rank::2]).compute()
    queue.put({name: value.item() for name, value in found.items()})
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(free_port):
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    workers = [
        context.Process(target=measure, args=(rank, free_port, queue))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    answers = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    one = counted(batches()[0::2] + batches()[1::2]).compute()
    expected = {name: value.item() for name, value in one.items()}
    assert answers == [expected, expected]
