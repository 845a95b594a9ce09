"""A review in the tools in which people look at masks, each by its example.

Each test runs where its tool is installed, best in an environment of its own.
"""

import json
import os
import runpy
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.coco import encode_image, write_coco
from mmaslp.files.object_volumes import write_volume
from mmaslp.files.reviews import Judged
from mmaslp.files.volumes import Grid
from tests.review_samples import estimate, reviewed, table_of

EXAMPLES = Path(__file__).resolve().parents[1] / 'examples'
SCORES = {'a': [0.25, 0.875], 'b': [], 'c': [0.5]}
DICE = {'b': 0.3, 'c': 0.6, 'a': 0.8}  # the order of the review
pytestmark = [pytest.mark.release, pytest.mark.filterwarnings('ignore')]


@pytest.fixture
def review(tmp_path):
    """COCO file and photographs of a review, and the pixels of each object."""
    pytest.importorskip('pycocotools', reason='needs the extra [coco]')
    photos = tmp_path / 'photos'
    photos.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for name, dice in DICE.items():
        labels = np.zeros((30, 40), np.int32)
        for k in range(len(SCORES[name])):
            labels[2 + 12 * k : 9 + 13 * k, 5 + k : 20] = k + 1
        grey = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
        Image.fromarray(grey).save(photos / f'{name}.png')
        table = table_of(labels, SCORES[name])
        image = Judged(Path(name), name, labels * 0.9, table, estimate())
        encoder = partial(encode_image, {name: photos / f'{name}.png'})
        rows.append(reviewed(image, dice, coco=encoder))
    write_coco(tmp_path / 'review.json', rows)
    areas = {row.name: row.objects.area.tolist() for row in rows}
    return str(tmp_path / 'review.json'), str(photos), areas


def run(monkeypatch, capsys, name, *args):
    monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
    runpy.run_path(str(EXAMPLES / f'{name}.py'), run_name='__main__')
    lines = capsys.readouterr().out.strip().splitlines()
    return [line.split('\t') for line in lines if '\t' in line]


def test_pycocotools(review, monkeypatch, capsys):
    coco, _, areas = review
    rows = run(monkeypatch, capsys, 'review_coco', coco, '--below', 0.6)
    assert [(row[0], float(row[2]), int(row[3])) for row in rows] == [
        ('c.png', 0.5, areas['c'][0]),
        ('a.png', 0.25, areas['a'][0]),
    ]


def test_fiftyone(review, monkeypatch, capsys):
    fiftyone = pytest.importorskip('fiftyone', reason='needs fiftyone')
    coco, photos, areas = review
    rows = run(monkeypatch, capsys, 'review_fiftyone', coco, photos, '--below', 0.6)
    assert [(name[0], float(dice)) for name, dice, _ in rows] == [*DICE.items()]
    assert [int(number) for *_, number in rows] == [0, 1, 1]
    dataset = fiftyone.load_dataset('review')
    for sample in dataset:
        name = Path(sample.filepath).stem
        objects = sample.objects.detections if sample.objects else []
        assert [each.confidence for each in objects] == SCORES[name]
        assert [int(each.mask.sum()) for each in objects] == areas[name]
    dataset.delete()


def test_datumaro(review, tmp_path, monkeypatch, capsys):
    pytest.importorskip('datumaro', reason='needs datumaro')
    coco, photos, areas = review
    out = ('--out', tmp_path / 'cvat')
    rows = run(monkeypatch, capsys, 'review_cvat', coco, photos, *out)
    found = sorted((name, float(score), int(area)) for name, score, area in rows)
    assert found == sorted(
        (name, score, area)
        for name in DICE
        for score, area in zip(SCORES[name], areas[name])
    )


def test_label_studio(review, tmp_path, monkeypatch, capsys):
    pytest.importorskip('label_studio', reason='needs label-studio')
    coco, photos, _ = review
    user = ['--username', 'a@b.cd', '--password', 'only-here', '--user-token', 'a' * 40]
    command = ['label_studio.server', 'start', '--no-browser', '--port', '8977', *user]
    folder = {'LABEL_STUDIO_BASE_DATA_DIR': str(tmp_path)}
    legacy = {'LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN': 'true'}
    environment = {**os.environ, **folder, **legacy}
    url = 'http://127.0.0.1:8977'
    server = subprocess.Popen([sys.executable, '-m', *command], env=environment)
    try:
        for _ in range(300):
            try:
                urlopen(f'{url}/health').close()
                break
            except URLError:
                time.sleep(1)
        server_options = ('--url', url, '--token', 'a' * 40)
        rows = run(
            monkeypatch, capsys, 'review_label_studio', coco, photos, *server_options
        )
    finally:
        server.terminate()
        server.wait()
    assert [(name[0], float(score)) for name, score in rows] == [*DICE.items()]


def test_itk_snap(tmp_path, monkeypatch, capsys):
    pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    labels = np.zeros((6, 10, 12), np.int32)
    labels[1:3, 2:5, 3:9] = 1
    affine = ((2.0, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 5.0, 0), (0, 0, 0, 1.0))
    grid = Grid((5.0, 2.0, 2.0), 'RAS', affine)
    table = table_of(labels, [0.25])
    image = Judged(Path('a.npy'), 'a', labels * 0.9, table, estimate(), grid=grid)
    write_volume(tmp_path, image)
    rows = run(monkeypatch, capsys, 'review_itk_snap', tmp_path / 'a.nii.gz')
    assert rows == [['1', 'object 1, real with 0.250', '0.7200 ml']]


def test_the_place_in_the_order_is_in_the_file(review):
    images = json.loads(Path(review[0]).read_text())['images']
    assert [image['attributes']['rank'] for image in images] == [1, 2, 3]
    assert [image['file_name'][0] for image in images] == [*DICE]
