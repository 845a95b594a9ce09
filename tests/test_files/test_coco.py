"""COCO JSON and numbered volumes: every object and score comes back."""

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from mmaslp.commands import run_command
from mmaslp.files.coco import encode_image, write_coco
from mmaslp.files.object_volumes import files_of, write_volume
from mmaslp.files.reviews import Judged
from mmaslp.files.volumes import grid_of
from tests.review_samples import estimate, reviewed, table_of


@pytest.fixture
def scene(tmp_path):
    """Two reviewed images with their photographs, twice as large, and a file."""
    pytest.importorskip('pycocotools', reason='needs the extra [coco]')
    labels = np.zeros((2, 30, 40), np.int32)
    labels[0, 2:9, 5:20] = 1
    labels[0, 15:28, 30:39] = 2
    labels[1, 10:12, 3:4] = 1
    probability = [np.array([0.25, 0.875]), np.array([np.nan])]
    photos = {}
    rows = []
    for name, own, told in zip('ab', labels, probability):
        photos[name] = tmp_path / f'{name}.jpg'
        Image.new('RGB', (80, 60)).save(photos[name])
        image = Judged(
            tmp_path / f'{name}.png', name, own * 0.9, table_of(own, told), estimate()
        )
        rows.append(reviewed(image, coco=partial(encode_image, photos)))
    write_coco(tmp_path / 'coco.json', rows)
    return tmp_path / 'coco.json', rows, labels


def test_every_object_and_score_comes_back(scene):
    from pycocotools.coco import COCO

    file, rows, labels = scene
    read = COCO(str(file))
    assert [image['file_name'] for image in read.imgs.values()] == ['a.jpg', 'b.jpg']
    assert read.imgs[1]['attributes']['expected_dice'] == rows[0].estimate.dice
    for place, (row, own) in enumerate(zip(rows, labels), 1):
        annotations = read.loadAnns(read.getAnnIds(imgIds=place))
        assert len(annotations) == len(row.objects)
        for k, annotation in enumerate(annotations):
            mask = read.annToMask(annotation)
            assert np.array_equal(mask, np.kron(own == k + 1, np.ones((2, 2))))
            assert annotation['area'] == mask.sum() == 4 * row.objects.area[k]
            assert annotation['attributes']['object'] == k + 1
            rows_, columns = np.nonzero(mask)
            assert annotation['bbox'][:2] == [columns.min(), rows_.min()]
    assert [each.get('score') for each in read.anns.values()] == [0.25, 0.875, None]


def test_photographs_of_another_aspect_are_told(scene, tmp_path):
    _, rows, _ = scene
    Image.new('RGB', (80, 30)).save(tmp_path / 'a.jpg')
    labels = np.ones((30, 40), np.int32)
    image = Judged(
        tmp_path / 'a.png', 'a', labels * 0.9, table_of(labels, [0.5]), estimate()
    )
    coco = partial(encode_image, {'a': tmp_path / 'a.jpg'})
    with pytest.warns(match='1 photographs have another aspect .* to them: a$'):
        write_coco(tmp_path / 'new.json', [reviewed(image, coco=coco), rows[1]])
    images = json.loads((tmp_path / 'new.json').read_text())['images']
    assert [each['stretched'] for each in images] == [True, False]


def test_volumes_are_not_for_coco(tmp_path):
    pytest.importorskip('pycocotools', reason='needs the extra [coco]')
    labels = np.zeros((4, 8, 8), np.int32)
    labels[1, 2:4, 2:4] = 1
    image = Judged(
        tmp_path / 'a.npy', 'a', labels * 0.9, table_of(labels, [0.5]), estimate()
    )
    with pytest.raises(ValueError, match='`write_volume`'):
        encode_image({}, image)


@pytest.mark.parametrize('slice_axis', [0, 1])
def test_a_numbered_volume_is_that_of_the_table(tmp_path, slice_axis):
    nibabel = pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    stored = np.zeros((6, 10, 12), np.int32)  # z, y, x
    stored[1:3, 2:5, 3:9] = 1
    stored[4, 6:9, 0:2] = 2
    affine = np.array([[0, 0.5, 0, 3], [-2, 0, 0, 4], [0, 0, 1.5, 5], [0, 0, 0, 1.0]])
    file = tmp_path / 'a.nii.gz'
    nibabel.save(nibabel.Nifti1Image(stored.T.astype(np.float32), affine), file)
    labels = np.ascontiguousarray(np.moveaxis(stored, slice_axis, 0))
    table = table_of(labels, [0.25, 0.875])
    grid = grid_of(file)
    image = Judged(
        file, 'a', labels * 0.9, table, estimate(), grid=grid, slice_axis=slice_axis
    )
    write_volume(tmp_path / 'out', image)
    volume, itk_snap, slicer = files_of(tmp_path / 'out', ['a'])

    read = nibabel.load(volume)
    numbers = np.asarray(read.dataobj)
    assert np.array_equal(numbers.T, stored)
    assert np.allclose(read.affine, affine)
    assert read.header.get_xyzt_units()[0] == 'mm'
    mm3 = np.bincount(numbers.ravel())[1:] * np.prod(read.header.get_zooms())
    assert mm3 == pytest.approx(table.area * grid.voxel)
    lines = itk_snap.read_text().splitlines()
    assert lines[0].endswith('"Clear Label"')
    assert [line.split('"')[1] for line in lines[1:]] == [
        'object 1, real with 0.250',
        'object 2, real with 0.875',
    ]
    assert all(len(line.split('"')[0].split()) == 7 for line in lines)
    assert [line.split()[0] for line in slicer.read_text().splitlines()] == ['1', '2']
    assert all(len(line.split()) == 6 for line in slicer.read_text().splitlines())


def test_a_volume_without_a_place_and_an_image_are_refused(tmp_path):
    pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    labels = np.ones((4, 8, 8), np.int32)
    image = Judged(
        tmp_path / 'a.npy', 'a', labels * 0.9, table_of(labels, [0.5]), estimate()
    )
    with pytest.raises(ValueError, match='keep the NIfTI file'):
        write_volume(tmp_path, image)
    flat = Judged(
        tmp_path / 'a.npy', 'a', labels[0] * 0.9, table_of(labels[0], [0.5]), estimate()
    )
    with pytest.raises(ValueError, match='`write_coco`'):
        write_volume(tmp_path, flat)


def test_options_of_the_command(tmp_path, capsys):
    """Names that end, small objects, outputs alone, and none at all."""
    from mmaslp import fit_calibrator
    from mmaslp.files.prob_maps import write_prob_map
    from tests.test_calibration.object_scenes import discs

    pytest.importorskip('pycocotools', reason='needs the extra [coco]')
    calibrator = fit_calibrator(*zip(*[discs(k) for k in range(40)]))
    calibrator.save(tmp_path / 'c.json')
    for kind in ('maps', 'masks'):
        (tmp_path / kind).mkdir()
    for k in range(3):
        prob, mask = discs(500 + k)
        write_prob_map(tmp_path / 'maps' / f'{k}_prob.png', prob)
        Image.fromarray(mask * 255).save(tmp_path / 'masks' / f'{k}.png')
    args = [str(tmp_path / 'maps'), '--calibrator', str(tmp_path / 'c.json')]
    masks = ['--truth', str(tmp_path / 'masks'), '--suffix', '_prob']
    coco = tmp_path / 'c.coco.json'

    assert run_command('review', args) == 2
    assert 'name an output: --out, ' in capsys.readouterr().err
    assert run_command('review', [*args, *masks[:2], '--coco', str(coco)]) == 2
    assert 'no name matches' in capsys.readouterr().err
    every = []
    for smallest in ('0', '100'):
        more = ['--smallest', smallest, '--coco', str(coco), '--overwrite']
        assert run_command('review', [*args, *masks, *more]) == 0
        content = json.loads(coco.read_text())
        every.append([each['area'] for each in content['annotations']])
        assert {image['file_name'] for image in content['images']} == {
            f'{k}_prob.png' for k in range(3)
        }
    assert every[1] == [area for area in every[0] if area >= 100] != every[0]
