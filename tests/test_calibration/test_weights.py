import copy

import pytest
import torch
from torch import nn

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
