import json

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.map_folder import pair_files
from mmaslp.files.map_pairs import read_pair
from mmaslp.files.map_scale import MapReader
from mmaslp.files.nnunet_maps import (
    find_dataset,
    read_label,
    read_npz_probability,
    write_npz_probability,
)

REGIONS = {'background': 0, 'whole': [1, 2], 'core': [2], 'ignore': 3}


def volume(depth=3, seed=0):
    return np.random.default_rng(seed).random((depth, 4, 5), np.float32)


def write_set(folder, labels, reader='SimpleITKIO'):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'dataset.json').write_text(json.dumps({'labels': labels}))
    (folder / 'plans.json').write_text(json.dumps({'image_reader_writer': reader}))


def softmax(tmp_path, prob):
    path = tmp_path / 'case.npz'
    np.savez_compressed(path, probabilities=np.stack([1 - prob, prob]))
    return path


def test_foreground_of_a_softmax(tmp_path):
    prob = volume()
    np.testing.assert_array_equal(read_npz_probability(softmax(tmp_path, prob)), prob)


def test_regions_are_named_or_numbered(tmp_path):
    write_set(tmp_path, REGIONS)
    values = np.stack([volume(seed=1), volume(seed=2)])
    np.savez_compressed(tmp_path / 'case.npz', probabilities=values)
    dataset = find_dataset(tmp_path)
    for channel in ('core', 1):
        found = read_npz_probability(
            tmp_path / 'case.npz', channel=channel, dataset=dataset
        )
        np.testing.assert_array_equal(found, values[1])
    with pytest.raises(ValueError, match="name one of 0 'whole', 1 'core'"):
        read_npz_probability(tmp_path / 'case.npz', dataset=dataset)
    with pytest.raises(ValueError, match="name one of 0 '0', 1 '1'"):
        read_npz_probability(tmp_path / 'case.npz')


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        (dict(probabilities=np.full((2, 1, 4, 4), 3.0)), r'not in \[0, 1\]'),
        (dict(probabilities=np.full((2, 1, 4, 4), np.nan)), r'not in \[0, 1\]'),
        (dict(probabilities=np.zeros((2, 4, 4))), r'\(C, D, H, W\)'),
        (dict(a=np.zeros((4, 4)), b=np.zeros((4, 4))), 'holds the arrays a, b'),
        (dict(probabilities=np.array([{}])), 'not a readable'),
    ],
)
def test_other_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / 'case.npz', **arrays)
    with pytest.raises(ValueError, match=message):
        read_npz_probability(tmp_path / 'case.npz')


def test_written_in_the_layout_of_the_source(tmp_path):
    prob = volume()
    source, target = softmax(tmp_path, prob), tmp_path / 'new.npz'
    write_npz_probability(target, prob**2, source)
    with np.load(target) as file:
        values = file['probabilities']
    np.testing.assert_array_equal(values[1], prob**2)
    np.testing.assert_array_equal(values[0], 1 - prob**2)


def test_other_regions_stay(tmp_path):
    write_set(tmp_path, REGIONS)
    values = np.stack([volume(seed=1), volume(seed=2)])
    np.savez(tmp_path / 'case.npz', probabilities=values)
    kept = dict(channel='whole', dataset=find_dataset(tmp_path))
    write_npz_probability(
        tmp_path / 'new.npz', values[0] / 2, tmp_path / 'case.npz', **kept
    )
    with np.load(tmp_path / 'new.npz') as file:
        np.testing.assert_array_equal(file['probabilities'][0], values[0] / 2)
        np.testing.assert_array_equal(file['probabilities'][1], values[1])


@pytest.mark.parametrize('reader', ['SimpleITKIO', 'NibabelIOWithReorient'])
def test_nifti_lies_as_nnunet_read_it(tmp_path, reader):
    nibabel = pytest.importorskip('nibabel')
    readers = pytest.importorskip('nnunetv2.imageio.reader_writer_registry')
    write_set(tmp_path, {'background': 0, 'tumour': 1}, reader)
    label = (volume() > 0.5).astype(np.uint8).transpose(2, 1, 0)  # (W, H, D)
    flipped = np.diag([-1.0, 2.0, 3.0, 1.0])
    path = tmp_path / 'case.nii.gz'
    nibabel.save(nibabel.Nifti1Image(label, flipped), path)
    theirs, _ = readers.recursive_find_reader_writer_by_name(reader)().read_seg(
        str(path)
    )
    found = read_label(path, dataset=find_dataset(tmp_path))
    np.testing.assert_array_equal(found, theirs[0])
    assert (reader == 'SimpleITKIO') == np.array_equal(found, label.transpose(2, 1, 0))


def test_pairs_of_a_fold(tmp_path):
    # As after nnUNetv2_train --npz: dataset.json two folders above the maps, and the
    # labels of the whole set.
    write_set(tmp_path, {'background': 0, 'person': 1}, 'NaturalImage2DIO')
    maps, labels = tmp_path / 'fold_0/validation', tmp_path / 'gt_segmentations'
    maps.mkdir(parents=True)
    labels.mkdir()
    prob = volume(depth=1)
    softmax(maps, prob)
    (maps / 'case.png').write_bytes(b'the segmentation')
    for case in ('case', 'other'):
        Image.fromarray((prob[0] > 0.5).astype(np.uint8)).save(labels / f'{case}.png')
    pairs, problems = pair_files(maps, labels)
    assert [*pairs] == ['case'] and not problems
    found, label = read_pair(MapReader(), *pairs['case'])
    np.testing.assert_array_equal(found > 0.5, label)
    (labels / 'case.png').unlink()
    assert 'no mask of this name' in pair_files(maps, labels)[1][0]
