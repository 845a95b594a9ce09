"""Local temperature scaling of the benchmark."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))
import lts


def test_temperature_by_the_definition():
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
    tree = mixed(mixed(*pairs, 2), convolved(images, module.image_leaf, 0) + 1, 3)
    expected = (tree + 1).clamp(min=0) + 1e-8
    torch.testing.assert_close(module(logits, images.double())[:, 0], expected)


def test_a_fit_lowers_the_loss():
    torch.manual_seed(0)
    honest = torch.randn(6, 1, 12, 12)
    labels = torch.bernoulli(torch.sigmoid(honest))
    logits = 4 * honest  # over-confident by a temperature of 4
    images = lts.with_bands(torch.randn(6, 3, 12, 12), logits)
    module = lts.fit_pixels(logits, images, labels, epochs=60)
    scaled = logits / module(logits, images)
    loss = F.binary_cross_entropy_with_logits
    assert loss(scaled, labels) < loss(logits, labels) - 0.2
