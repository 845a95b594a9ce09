import copy
import warnings

import pytest
import torch
from torch import nn

from mmaslp import Calibrator
from mmaslp.calibration import fit_calibrator
from mmaslp.calibration.module import fingerprint_of, same_weights


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


def exchange(net):
    net[0].weight.data = net[0].weight.data.flip(0)


def negate(net):
    net[2].weight.data.neg_()


def move_statistics(net):
    net[1].running_mean += 0.1


@pytest.mark.parametrize('change', [exchange, negate, move_statistics])
def test_order_sign_and_buffers_are_seen(change):
    net = network()
    saved = fingerprint_of(net)
    assert same_weights(copy.deepcopy(net).eval(), saved)
    change(net)
    assert not same_weights(net, saved)


def test_half_precision_and_networks_without_weights():
    net = network().bfloat16()
    assert same_weights(net, fingerprint_of(net))
    assert not same_weights(net, fingerprint_of(network()))
    assert fingerprint_of(nn.Identity()) is None
    assert same_weights(net, 12.5)  # of version 0.5


def wrapped(net):
    """A network that is wrapped by the calibrator of its own weights."""
    record = dict(network=fingerprint_of(net))
    knots = [([0, 10], [0, 5])]
    return Calibrator('temperature', 'single', 'confidence', knots, record).wrap(net)


def step(net):
    with torch.no_grad():
        net[2].weight.mul_(2)


def load(net):
    net.load_state_dict({key: value + 1 for key, value in net.state_dict().items()})


def assign(net):
    changed = {key: value + 1 for key, value in net.state_dict().items()}
    net.load_state_dict(changed, assign=True)


def adapt(net):
    net.train()(torch.randn(2, 1, 8, 8) + 3)  # statistics of other images
    net.eval()


@pytest.mark.parametrize('change', [step, load, assign, adapt])
def test_weights_that_change_after_wrap_are_said_once(change):
    net = network().eval()
    module = wrapped(net)
    images = torch.randn(2, 1, 8, 8)
    module(images)
    change(net)
    with pytest.warns(UserWarning, match='other weights'):
        module(images)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        module(images)


def test_what_leaves_no_trace_is_seen_at_the_next_eval():
    net = network()
    module = wrapped(net).eval()
    images = torch.randn(2, 1, 8, 8)
    module(images)
    net[2].weight.data.mul_(2)  # as averaged weights are exchanged
    with pytest.warns(UserWarning, match='other weights'):
        module.eval()(images)


def test_what_is_not_a_network_does_not_fit():
    calibrator = Calibrator(
        'temperature',
        'single',
        'confidence',
        [([0, 10], [0, 5])],
        dict(network=fingerprint_of(network())),
    )
    for given in ('net.pth', None, network().state_dict()):
        with pytest.raises(ValueError, match='network must be a module'):
            calibrator.check_network(given)


def test_weights_that_stay_or_are_trained_are_quiet(recwarn):
    net = network()
    module = wrapped(net).eval()
    images = torch.randn(2, 1, 8, 8)
    net.load_state_dict(copy.deepcopy(net.state_dict()))
    with torch.inference_mode():
        module(images)
        copy.deepcopy(module)(images)
    step(net)
    module.train()(images - 1)  # the training goes on
    assert not [w for w in recwarn if 'other weights' in str(w.message)]


def test_a_network_that_was_moved_before_it_was_wrapped_stays_on_its_device():
    net = network().eval().to('meta')
    knots = [([0, 10], [0, 5])]
    calibrator = Calibrator('temperature', 'single', 'confidence', knots)
    found = calibrator.wrap(net)(torch.randn(2, 1, 8, 8, device='meta'))
    assert found.device.type == 'meta'


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('method', ['temperature', 'isotonic'])
def test_a_wrapped_network_in_half_precision_keeps_its_table(dtype, method):
    torch.manual_seed(0)
    prob = torch.rand(30, 16, 16)
    label = (torch.rand(30, 16, 16) < prob**2).long()
    calibrator = fit_calibrator(prob, label, method=method)
    logit = torch.linspace(-8, 8, 256).view(1, 1, 16, 16).to(dtype)
    found = calibrator.wrap(nn.Identity()).to(dtype)(logit)
    assert torch.equal(found, calibrator.logits(logit.float()))
