import base64
import io
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from mmaslp.report.analysis import analyse
from mmaslp.report.pictures import galleries, image_panels, make_picture

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def item(**changes):
    prob = np.zeros((8, 8), np.uint16)
    prob[:2, :2] = 65535
    label = np.zeros((8, 8), np.uint8)
    label[:2, :4], label[7] = 1, 255
    metrics = {'oe': 0.1, 'sample': 0.5}
    found = {'name': '/home/me/x.jpg', 'prob': prob, 'label': label}
    return found | {'metrics': metrics} | changes


def test_error_is_purple_above_and_green_below_the_mask():
    prob = np.array([[65535, 0, 65535, 30000]], np.uint16)
    panels = image_panels(prob, np.array([[0, 1, 1, 255]], np.uint8))
    error = np.asarray(panels['error'])[0].astype(int)
    assert error[0, 0] > error[0, 1] and error[1, 1] > error[1, 0]
    assert error[2].tolist() == [255] * 3 and len(set(error[3].tolist())) == 1
    assert np.asarray(panels['mask'])[0, 1].tolist() == [255] * 3
    assert list(panels) == ['mask', 'probability', 'error']


def test_panels_are_embedded_and_described():
    picture = make_picture(item(), reasons=['over'])
    assert (picture['name'], picture['reasons']) == ('x.jpg', ['over'])
    assert picture['metrics'] == {'oe': 0.1, 'ue': None, 'acc': None, 'conf': None}
    assert list(picture['panels']) == ['mask', 'probability', 'error']
    for panel in picture['panels'].values():
        data = base64.b64decode(panel['source'].split(',')[1])
        assert Image.open(io.BytesIO(data)).size == (8, 8)
        assert (panel['width'], panel['height']) == (8, 8)
    words = {key: panel['alt'] for key, panel in picture['panels'].items()}
    assert words['mask'] == 'mask: 14.3% of the pixels are object, 12% are ignored'
    assert words['probability'] == 'probability: 7.1% of the pixels are above 0.5'
    assert words['error'] == (
        'error: 7.1% of the pixels have the wrong class; the mean probability is 0.000 '
        'too high (purple) and 0.071 too low (green)'
    )


def laid_out(*results, number=2):
    return galleries(analyse(results, 5).sets[0], number)


def test_models_are_side_by_side_and_each_image_comes_once():
    found = laid_out(*(helper.result(name, with_pictures=True) for name in 'AB'))
    assert [each['title'] for each in found] == [
        'Most over-confident',
        'Most under-confident',
        'Random sample',
    ]
    names = [image['name'] for gallery in found for image in gallery['images']]
    assert len(names) == len(set(names)) and found[0]['images']
    image = found[0]['images'][0]
    assert [view['model'] for view in image['views']] == ['A', 'B']
    assert image['why'] == 'among the worst of A, B'
    assert list(image['panels']) == ['mask']
    assert list(image['views'][0]['panels']) == ['probability', 'error']
    assert image['views'][0]['figures'].startswith('OE 0.')
    stems = {name.rsplit('.', 1)[0] for name in names}
    assert all(name in stems for gallery in found for name in gallery['above'])
