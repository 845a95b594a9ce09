import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch.nn.functional import conv2d, interpolate

import mmaslp  # noqa: F401

WIDTHS = (3, 5, 7)


def make(**options):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    options = dict(in_channels=WIDTHS, channels=4, mid_channels=6, **options)
    return MODELS.build(dict(type='DilatedFusionNeck', **options))


def features(*sizes):
    torch.manual_seed(1)
    return tuple(torch.randn(2, width, *size) for width, size in zip(WIDTHS, sizes))


@pytest.mark.parametrize(
    'sizes',
    [[(16, 12), (8, 6), (4, 3)], [(15, 13), (8, 7), (4, 4)], [(4, 4), (2, 2), (1, 1)]],
)
def test_result_has_four_times_the_finest_size(sizes):
    (out,) = make(out_channels=8)(features(*sizes))
    height, width = sizes[0]
    assert out.shape == (2, 8, 4 * height, 4 * width)
    assert (out >= 0).all()
    assert out.any()


def test_forward_by_its_formula():
    """The same map from the weights alone, written as a list of operations."""
    neck = make().double()
    maps = tuple(x.double() for x in features((8, 8), (4, 4), (2, 2)))
    weights = neck.state_dict()

    def conv(name, x, dilation=1):
        return conv2d(
            x,
            weights[f'{name}.weight'],
            weights[f'{name}.bias'],
            padding=dilation,
            dilation=dilation,
        )

    def unit(name, x):
        x = x.clamp(min=0)
        return conv(f'{name}.conv2', conv(f'{name}.conv1', x).clamp(min=0)) + x

    def double(x, align_corners):
        return interpolate(
            x, scale_factor=2, mode='bilinear', align_corners=align_corners
        )

    lateral = [
        sum(
            conv(f'laterals.{i}.convs.{j}', x, dilation)
            for j, dilation in enumerate((3, 6, 12, 18))
        )
        for i, x in enumerate(maps)
    ]
    x = double(unit('units.2', lateral[2]), True)
    x = double(unit('units.1', x + unit('skip_units.1', lateral[1])), True)
    x = double(unit('units.0', x + unit('skip_units.0', lateral[0])), True)
    expected = conv('out_conv', double(conv('mid_conv', x), False)).clamp(min=0)
    torch.testing.assert_close(neck(maps)[0], expected)


def test_every_parameter_is_trained():
    """An idle one, as the released network has, stops data-parallel training."""
    neck = make()
    neck(features((8, 8), (4, 4), (2, 2)))[0].sum().backward()
    idle = [name for name, p in neck.named_parameters() if p.grad is None]
    assert not idle


def test_wrong_number_of_maps():
    with pytest.raises(
        ValueError, match='in_channels has 3 numbers, and the backbone gives 2 maps'
    ):
        make()(features((8, 8), (4, 4)))
