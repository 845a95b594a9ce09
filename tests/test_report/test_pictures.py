import base64
import io

import numpy as np
from PIL import Image

from mmaslp.evaluation.comparison import Measured
from mmaslp.metrics.errors import accuracy, confidence
from mmaslp.report.pictures import (
    chosen,
    galleries,
    image_panels,
    make_picture,
    ranked,
    sample_rank,
)

from . import sections as helper


def test_error_is_purple_above_and_green_below_the_mask():
    prob = np.array([[1, 0, 1, 0.4]], np.float32)
    panels = image_panels(prob, np.array([[0, 1, 1, 255]], np.uint8))
    error = np.asarray(panels['error'])[0].astype(int)
    assert error[0, 0] > error[0, 1]
    assert error[1, 1] > error[1, 0]
    assert error[2].tolist() == [255] * 3
    assert len(set(error[3].tolist())) == 1
    assert np.asarray(panels['mask'])[0, 1].tolist() == [255] * 3
    assert list(panels) == ['mask', 'probability', 'error']


def test_panels_are_embedded_and_described():
    prob = np.zeros((8, 8), np.float32)
    prob[:2, :2] = 1
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
    rows = [
        Measured(helper.result(name, gain=gain, with_pictures=True))
        for name, gain in kinds.items()
    ]
    found = galleries(rows, 2)
    assert found[0]['title'] == 'Most over-confident'
    names = [image['name'] for gallery in found for image in gallery['images']]
    assert len(names) == len(set(names))
    image = found[0]['images'][0]
    assert image['name'] == ranked(rows[1].images)['over'][0]
    assert list(image['panels']) == ['mask']
    assert list(image['views'][-1]['panels']) == ['probability', 'error']
    assert image['views'][-1]['model'] == 'B'
    assert image['views'][-1]['metrics'].startswith('confidence 0.')
    assert galleries([Measured(helper.result())], 2) == []


def test_worst_both_ways_and_a_sample():
    images = Measured(helper.result(gain=2.0, number=9)).images
    metrics = images.per_image()
    gap = confidence(images.table) - accuracy(images.table)
    found = ranked(images)
    assert found['over']
    for why, key, sign in (('over', 'oe', 1), ('under', 'ue', -1)):
        rows = [images.names.index(name) for name in found[why]]
        sizes = metrics[key][rows]
        assert (np.diff(sizes) <= 0).all()
        assert sorted(rows) == np.flatnonzero(sign * gap > 0).tolist()
    ranks = [sample_rank(name) for name in found['sample']]
    assert ranks == sorted(ranks, reverse=True)
    assert len(ranks) == 9


def test_each_model_gives_its_worst():
    tables = [
        Measured(helper.result(gain=gain, number=9)).images for gain in (2.0, 3.0)
    ]
    found = chosen(tables, 3)['over']
    first, second = (ranked(table)['over'] for table in tables)
    assert found == list(dict.fromkeys([*first[:2], *second[:2]]))
    assert chosen(tables, 0) == {'over': [], 'under': [], 'sample': []}


def test_sample_depends_on_the_file_names_alone():
    names = [f'{i}.jpg' for i in range(9)]
    assert [sample_rank(f'/x/{name}') for name in names] == [*map(sample_rank, names)]
    assert all(0 < sample_rank(name) <= 1 for name in names)
