"""Local temperature scaling of the benchmark."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

pytestmark = pytest.mark.release

SCRIPTS = Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture
def lts(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import lts

    return lts


def test_temperature_by_the_definition(lts):
    """The tree, written out leaf by leaf in float64."""
    torch.manual_seed(0)
    logits, images = torch.randn(2, 1, 9, 11).double(), torch.randn(2, 3, 9, 11)
    module = lts.LocalTemperature().double()
    assert (module(logits, images.double()) == 2 + 1e-8).all()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.2)

    def convolved(maps, layer, index):
        maps = F.pad(maps.double(), (4, 4, 4, 4), mode='reflect')
        kernel, bias = layer.weight[index : index + 1], layer.bias[index : index + 1]
        return F.conv2d(maps, kernel, bias, dilation=2)[:, 0]

    def mixed(first, second, gate):
        share = 1 / (1 + torch.exp(-convolved(logits, module.gates, gate)))
        return share * first + (1 - share) * second

    leaves = [convolved(logits, module.leaves, i) + 1 for i in range(4)]
    pairs = mixed(leaves[0], leaves[1], 0), mixed(leaves[2], leaves[3], 1)
    picture = convolved(images, module.image_leaf, 0) + 1
    tree = mixed(mixed(*pairs, 2), picture, 3)
    expected = (tree + 1).clamp(min=0) + 1e-8
    assert (expected < 1e-7).any() and (expected > 1).any()
    actual = module(logits, images.double())
    torch.testing.assert_close(actual[:, 0], expected)
    module.per_image = True
    expected = (tree.mean((1, 2)) + 1).clamp(min=0) + 1e-8
    actual = module(logits, images.double())
    torch.testing.assert_close(actual[:, 0, 0, 0], expected)


@pytest.mark.parametrize('per_image', [False, True])
def test_fit_lowers_the_loss_and_looks_at_labelled_pixels_only(lts, per_image):
    torch.manual_seed(0)
    images = torch.randn(6, 3, 12, 12)
    honest = torch.randn(6, 1, 12, 12)
    labels = torch.bernoulli(torch.sigmoid(honest)).byte()
    logits = 4 * honest  # over-confident by a temperature of 4
    labels[:, :, :4] = 255
    _, losses = lts.fit_pixels(logits, images, labels, per_image, epochs=60)
    _, same = lts.fit_pixels(logits, images, labels, per_image, epochs=60)
    assert losses == same and losses['after'] < losses['before'] - 0.2
    assert losses['before'] == pytest.approx(
        F.binary_cross_entropy_with_logits(
            logits[:, :, 4:], labels[:, :, 4:].float()
        ).item()
    )
    with pytest.raises(ValueError, match='no labelled pixel'):
        lts.fit_pixels(logits, images, torch.full_like(labels, 255))
