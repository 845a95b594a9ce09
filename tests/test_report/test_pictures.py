import base64
import io

import numpy as np
import pytest
from PIL import Image

from mmaslp.report.pictures import chosen, make_picture


def item(**changes):
    prob = np.zeros((8, 8), np.uint16)
    prob[:2, :2] = 65535
    label = np.zeros((8, 8), np.uint8)
    label[:2, :4], label[7] = 1, 255
    metrics = {'oe': 0.1, 'ue': float('nan'), 'sample': 0.5}
    return {
        'name': '/home/me/x.jpg',
        'prob': prob,
        'label': label,
        'metrics': metrics,
    } | changes


def test_panels_are_embedded_and_described():
    picture = make_picture(item(), reasons=['over'])
    assert (picture.name, picture.reasons) == ('x.jpg', ('over',))
    assert picture.metrics == {'oe': 0.1, 'ue': None}
    assert list(picture.panels) == ['mask', 'probability', 'error']
    for panel in picture.panels.values():
        data = base64.b64decode(panel.source.split(',')[1])
        assert Image.open(io.BytesIO(data)).size == (8, 8)
    words = {key: panel.alt for key, panel in picture.panels.items()}
    assert words['mask'] == (
        'mask: 14.3% of the pixels foreground, around the upper left; 12% are ignored'
    )
    assert words['probability'] == (
        'probability: 7.1% of the pixels above 0.5, around the upper left, mean 0.07'
    )
    assert words['error'].startswith('error: 7.1% of the pixels have the wrong class; ')
    assert 'excess 0.000 (red), mean shortfall 0.071 (blue)' in words['error']


def test_photograph(tmp_path):
    Image.new('RGB', (500, 250)).save(tmp_path / 'x.png')
    assert 'image' in make_picture(item(), tmp_path / 'x.png').panels
    assert 'image' not in make_picture(item(), tmp_path / 'none.png').panels


@pytest.mark.parametrize('label', [0, 255])
def test_nothing_to_describe(label):
    empty = item(
        label=np.full((8, 8), label, np.uint8), prob=np.zeros((8, 8), np.uint16)
    )
    words = {k: p.alt for k, p in make_picture(empty).panels.items()}
    assert words['mask'].startswith('mask: no foreground')
    assert words['probability'].startswith('probability: no pixel above 0.5')


def test_models_take_turns():
    ranked = {'A': {'over': ['a', 'b', 'c']}, 'B': {'over': ['b', 'd', 'e']}}
    assert chosen(ranked, 3) == {'over': ['a', 'b', 'd']}
    assert chosen(ranked, 1) == {'over': ['a', 'b']}  # each model one at least
    assert chosen(ranked, 9) == {'over': ['a', 'b', 'd', 'c', 'e']}
    assert chosen({'A': {'over': []}}, 3) == {'over': []}
    assert chosen({}, 3) == {}
