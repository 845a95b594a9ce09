import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from mmaslp.report.analysis import analyse
from mmaslp.report.pictures import (
    ShownImages,
    galleries,
    image_panels,
    make_picture,
    ranked,
    sample_rank,
)

from . import sections as helper

MAP = np.zeros((2, 2))


def test_error_is_purple_above_and_green_below_the_mask():
    prob = np.array([[65535, 0, 65535, 30000]], np.uint16)
    panels = image_panels(prob, np.array([[0, 1, 1, 255]], np.uint8))
    error = np.asarray(panels['error'])[0].astype(int)
    assert error[0, 0] > error[0, 1]
    assert error[1, 1] > error[1, 0]
    assert error[2].tolist() == [255] * 3
    assert len(set(error[3].tolist())) == 1
    assert np.asarray(panels['mask'])[0, 1].tolist() == [255] * 3
    assert list(panels) == ['mask', 'probability', 'error']


def test_panels_are_embedded_and_described():
    prob = np.zeros((8, 8), np.uint16)
    prob[:2, :2] = 65535
    label = np.zeros((8, 8), np.uint8)
    label[:2, :4], label[7] = 1, 255
    picture = make_picture('x.jpg', prob, label)
    assert picture['name'] == 'x.jpg'
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


def test_models_are_side_by_side_and_each_image_comes_once():
    kinds = dict(A=0.6, B=2.0)  # under- and over-confident
    results = [
        helper.result(name, gain=gain, with_pictures=True)
        for name, gain in kinds.items()
    ]
    group = analyse(results, 5).sets[0]
    found = galleries(group, 2)
    assert [each['title'] for each in found] == [
        'Most over-confident',
        'Most under-confident',
        'Random sample',
    ]
    names = [image['name'] for gallery in found for image in gallery['images']]
    assert len(names) == len(set(names))
    assert len(found[0]['images']) == 2
    image = found[0]['images'][0]
    assert image['name'] == f'{ranked(group.members[1].images)["over"][0]}.png'
    assert [view['model'] for view in image['views']] == ['A', 'B']
    assert image['why'] == 'among the worst of B'
    assert list(image['panels']) == ['mask']
    assert list(image['views'][0]['panels']) == ['probability', 'error']
    assert image['views'][0]['figures'].startswith('confidence 0.')
    stems = {name.rsplit('.', 1)[0] for name in names}
    assert all(name in stems for gallery in found for name in gallery['above'])
    # A picture that is there for another reason is not taken for one of the worst.
    worst = ranked(group.members[1].images)['over'][0]
    results = [
        replace(
            each, pictures=[p for p in each.pictures if p['name'] != f'{worst}.png']
        )
        for each in results
    ]
    titles = [each['title'] for each in galleries(analyse(results, 5).sets[0], 2)]
    assert 'Most over-confident' not in titles


def kept(names, size=2):
    shown = ShownImages(size)
    for index, name in enumerate(names):
        metrics = {'oe': index / 10, 'ue': 0.0 if index else 0.2}
        shown.push(name, index, metrics, MAP, MAP)
    return {why: [item['name'] for item in own] for why, own in shown.items.items()}


def test_worst_both_ways_and_a_sample():
    found = kept(['a', 'b', 'c', 'd'])
    assert found['over'] == ['d', 'c']
    assert found['under'] == ['a']  # the others are not under-confident at all
    assert found['sample'] == sorted('abcd', key=sample_rank, reverse=True)[:2]
    shown, images = helper.section()['shown'], analyse([helper.result()], 5)
    for why, names in ranked(images.sets[0].members[0].images).items():
        assert [f'{name}.png' for name in names[:2]] == [i['name'] for i in shown[why]]


def test_sample_depends_on_the_file_names_alone():
    names = [f'{i}.jpg' for i in range(9)]
    other = kept([f'/x/{name}' for name in reversed(names)])['sample']
    assert [name.split('/')[-1] for name in other] == kept(names)['sample']
    assert all(0 < sample_rank(name) <= 1 for name in names)


def test_processes_join_and_repeated_images_go():
    shown, other = ShownImages(2), ShownImages(2)
    for index, name in enumerate('abc'):
        shown.push(name, index, {'oe': index / 10, 'ue': 0.2, 'gap': 0.1}, MAP, MAP)
    other.push('d', 0, {'oe': 0.05, 'ue': 0.0}, MAP, MAP)
    shown.drop_after(2)
    joined = ShownImages(2)
    for each in (shown, other):
        joined.extend(each.items)
    assert [item['name'] for item in joined.items['over']] == ['b', 'd']
