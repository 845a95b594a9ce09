"""The network of the prototypes by band, and its config."""

import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.release

SCRIPTS = Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture
def network(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from plain_unet import PlainUNet

    torch.manual_seed(0)
    return PlainUNet()


def test_features_and_gradients(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.init_weights()  # as the host calls it: the weights stay
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    (features,) = network(torch.randn(2, 3, 48, 80))
    assert features.shape == (2, 12, 48, 80)
    features.mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_it_is_the_network_of_the_prototypes(network, shared, monkeypatch):
    monkeypatch.syspath_prepend(shared / 'prototypes')
    monkeypatch.delitem(sys.modules, 'regions', raising=False)
    from regions import UNet

    other = UNet()
    state = {}
    for name, value in network.state_dict().items():
        part, stage, rest = name.split('.', 2)
        # The prototype counts its stages upwards by level.
        state[f'{part}.{3 - int(stage) if part == "up" else stage}.{rest}'] = value
    last = {key: other.state_dict()[key] for key in ('out.weight', 'out.bias')}
    other.load_state_dict({**state, **last})
    images = torch.randn(2, 3, 64, 64)
    (features,) = network.eval()(images)
    torch.testing.assert_close(other.out(features)[:, 0], other.eval()(images))


def test_the_config_trains_and_is_measured(folders, call):
    base = folders / 'base.py'
    base.write_text(
        f'_base_ = {str(SCRIPTS / "plain_unet_64.py")!r}\n'
        'train_dataloader = dict(batch_size=2)\n'
    )
    options = ['--base', str(base), '--size', '32', '--epochs', '3', '--seeds', '1']
    methods = ['bce', 'aslp_fb_border']
    output, records = call('calibration.py', *options, '--methods', *methods)
    assert [record['method'] for record in records] == methods
    assert '| set | bce+ts | 1 |' in output
    assert len(records[1]['profile']) == 5
