import json

import numpy as np
import pytest
from PIL import Image

from mmaslp.commands import main, run_command
from mmaslp.common.inputs import read_file
from mmaslp.files import nnunet_maps
from mmaslp.files.map_pairs import list_maps, pair_files, read_pair
from mmaslp.files.nnunet_maps import find_dataset, read_label, with_foreground
from mmaslp.files.prob_maps import MapReader

REGIONS = {'background': 0, 'whole': [1, 2], 'core': [2], 'ignore': 3}


def volume(depth=3, seed=0):
    return np.random.default_rng(seed).random((depth, 4, 5), np.float32)


def write_set(folder, labels, reader='SimpleITKIO'):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'dataset.json').write_text(json.dumps({'labels': labels}))
    (folder / 'plans.json').write_text(json.dumps({'image_reader_writer': reader}))


def softmax(folder, prob):
    path = folder / 'case.npz'
    np.savez_compressed(path, probabilities=np.stack([1 - prob, prob]))
    return path


def test_foreground_of_a_softmax(tmp_path):
    prob = volume()
    np.testing.assert_array_equal(MapReader().read(softmax(tmp_path, prob)), prob)


def test_regions_are_named_or_numbered(tmp_path):
    path, values = tmp_path / 'case.npz', np.stack([volume(seed=1), volume(seed=2)])
    np.savez_compressed(path, probabilities=values)
    with pytest.raises(ValueError, match=r"case\.npz: .*give one of 0 '0', 1 '1'"):
        MapReader().read(path)
    write_set(tmp_path, REGIONS)
    for channel in ('core', 1):
        found = MapReader(channel=channel).read(path)
        np.testing.assert_array_equal(found, values[1])
    with pytest.raises(ValueError, match="is named: give one of 0 'whole', 1 'core'"):
        MapReader().read(path)
    with pytest.raises(
        ValueError, match="channel 'kore' is not one of its foregrounds"
    ):
        MapReader(channel='kore').read(path)
    write_set(tmp_path, {'background': 0, 'tumour': 1})
    with pytest.raises(ValueError, match=r'case\.npz: its channels do not add up to 1'):
        MapReader().read(path)
    for text in ('[]', '{"labels": []}'):
        (tmp_path / 'dataset.json').write_text(text)
        with pytest.raises(
            ValueError, match=r'dataset\.json is not of nnU-Net.* must be an object'
        ):
            MapReader().read(path)


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        (dict(probabilities=np.full((2, 1, 4, 4), 3.0)), r'not in \[0, 1\]'),
        (dict(probabilities=np.full((2, 1, 4, 4), np.nan)), 'has 32 NaN'),
        (dict(probabilities=np.full((2, 4, 4), 0.5)), 'two planes of it add up to 1'),
        (dict(probabilities=np.zeros((2, 1, 4, 4, 1))), r'\(D, H, W\), not'),
        (
            dict(a=np.zeros((4, 4)), b=np.zeros((4, 4))),
            'contains the arrays a, b: name',
        ),
        (dict(probabilities=np.array([{}])), 'cannot be read'),
    ],
)
def test_other_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / 'case.npz', **arrays)
    with pytest.raises(ValueError, match=rf'case\.npz: .*{message}'):
        MapReader().read(tmp_path / 'case.npz')


def test_a_changed_foreground(tmp_path):
    prob, other = volume(), volume(seed=1)
    values = with_foreground(np.stack([1 - prob, prob]), prob**2, None, None)
    np.testing.assert_array_equal(values, np.stack([1 - prob**2, prob**2]))
    write_set(tmp_path, REGIONS)
    regions = find_dataset(tmp_path)
    values = with_foreground(np.stack([prob, other]), prob / 2, 'whole', regions)
    np.testing.assert_array_equal(values, np.stack([prob / 2, other]))
    # Of a softmax of three one cannot change alone.
    alone = with_foreground(np.full((3, *prob.shape), 1 / 3), prob / 2, 1, None)
    np.testing.assert_array_equal(alone, prob / 2)


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


def test_labels_of_each_kind_that_nnunet_writes(tmp_path):
    labels = np.arange(12).reshape(3, 4) % 3
    for suffix in ('.png', '.bmp', '.tif'):
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / f'case{suffix}')
        write_set(tmp_path, {'background': 0, 'object': 1, 'ignore': 2})
        found = read_label(tmp_path / f'case{suffix}', find_dataset(tmp_path))
        assert np.array_equal(found, np.where(labels == 2, 255, labels))
    write_set(tmp_path, {'background': 0, 'object': 1})
    with pytest.raises(
        ValueError, match=r'labels \[2\], and the .* describes \[0, 1\]'
    ):
        read_label(tmp_path / 'case.png', find_dataset(tmp_path))
    np.save(tmp_path / 'case.npy', labels)
    with pytest.raises(ValueError, match=r'case\.npy: labels of nnU-Net are images or'):
        read_label(tmp_path / 'case.npy', find_dataset(tmp_path))


def test_pairs_of_a_fold(tmp_path):
    # As after nnUNetv2_train --npz: dataset.json two folders above the maps, and the
    # labels of the whole set.
    write_set(tmp_path, {'background': 0, 'person': 1}, 'NaturalImage2DIO')
    maps, labels = tmp_path / 'fold_0/validation', tmp_path / 'gt_segmentations'
    maps.mkdir(parents=True)
    labels.mkdir()
    prob = volume(depth=1)
    softmax(maps, prob)
    for suffix in ('.png', '.bmp', '.tif'):
        (maps / f'case{suffix}').write_bytes(b'the segmentation')
    for case in ('case', 'other'):
        Image.fromarray((prob[0] > 0.5).astype(np.uint8)).save(labels / f'{case}.png')
    with pytest.warns(
        match='1 of 2 masks have no map, such as other, and are not used'
    ):
        pairs, problems = pair_files(maps, labels)
    assert [*pairs] == ['case']
    assert not problems
    found, label = read_pair(MapReader(), *pairs['case'])
    np.testing.assert_array_equal(found > 0.5, label)
    (tmp_path / 'dataset.json').rename(tmp_path / 'x.json')  # no set of nnU-Net
    _, problems = pair_files(maps, labels)
    assert any('mask other: ' in each for each in problems)
    assert (
        'the same name as case.npz; if these are from nnU-Net, put its dataset.json'
        in ('\n'.join(problems))
    )
    (tmp_path / 'x.json').rename(tmp_path / 'dataset.json')
    (labels / 'case.png').unlink()
    _, problems = pair_files(maps, labels)
    assert any('such as case.npz and other.png' in each for each in problems)


def test_ignored_pixels_beside_background_are_sound(tmp_path, recwarn):
    write_set(tmp_path / 'maps', {'background': 0, 'lesion': 1, 'ignore': 2})
    (tmp_path / 'labels').mkdir()
    for case, label in (('a', [0, 1, 2, 0, 0]), ('b', [0, 0, 2, 0, 0])):
        softmax(tmp_path / 'maps', volume(depth=1)).rename(
            tmp_path / 'maps' / f'{case}.npz'
        )
        values = np.tile(np.uint8(label), (4, 1))
        Image.fromarray(values).save(tmp_path / 'labels' / f'{case}.png')
    args = [str(tmp_path / 'maps'), str(tmp_path / 'labels'), '--resamples', '0']
    assert run_command('eval-maps', args) == 0
    assert not [each for each in recwarn if 'labels contain' in str(each.message)]


@pytest.mark.parametrize('cases', [['a', 'b'], ['1.2.840.7', '1.2.840.8']])  # DICOM's
def test_a_mask_beside_the_maps_is_none_of_them(tmp_path, cases):
    for case in cases:
        softmax(tmp_path, volume())
        (tmp_path / 'case.npz').rename(tmp_path / f'{case}.npz')
        (tmp_path / f'{case}.nii.gz').touch()
        (tmp_path / f'{case}.pkl').touch()
    problems = []
    assert [*list_maps(tmp_path, '', problems)] == cases
    assert not problems
    (tmp_path / f'{cases[1]}.pkl').unlink()
    (tmp_path / f'{cases[1]}.npz').unlink()
    assert [*list_maps(tmp_path, '', problems)] == cases[:1]
    assert '--save_probabilities' in problems[0]


@pytest.mark.parametrize('name', ['dataset.json', 'case.pkl'])
def test_a_folder_without_npz_says_what_writes_them(tmp_path, name):
    (tmp_path / name).touch()
    problems = []
    list_maps(tmp_path, '', problems)
    assert '--save_probabilities' in problems[0]


def test_the_description_is_read_once_for_many_maps(tmp_path, monkeypatch):
    write_set(tmp_path, {'background': 0, 'tumour': 1})
    reads = []

    def counted(file, most):
        reads.append(file)
        return read_file(file, most)

    monkeypatch.setattr(nnunet_maps, 'read_file', counted)
    for _ in range(5):
        dataset = find_dataset(tmp_path)
    assert len([file for file in reads if file.name == 'dataset.json']) == 1

    write_set(tmp_path, {'background': 0, 'other tumour': 1})
    assert find_dataset(tmp_path) != dataset


def test_maps_that_say_no_place_are_said(tmp_path, recwarn):
    """Beside masks that say it: else masks that lie elsewhere would count as wrong."""
    nibabel = pytest.importorskip('nibabel')
    write_set(tmp_path / 'maps', {'background': 0, 'lesion': 1})
    (tmp_path / 'labels').mkdir()
    prob = volume()
    softmax(tmp_path / 'maps', prob)
    labels = nibabel.Nifti1Image((prob.T > 0.5).astype(np.uint8), np.eye(4))
    nibabel.save(labels, tmp_path / 'labels' / 'case.nii.gz')
    args = ['eval-maps', *map(str, (tmp_path / 'maps', tmp_path / 'labels'))]
    words = '1 of 1 maps do not say where their voxels lie'
    for is_beside in (False, True):
        if is_beside:
            nibabel.save(labels, tmp_path / 'maps' / 'case.nii.gz')
        assert main([*args, '--resamples', '0']) == 0
        said = [str(warning.message) for warning in recwarn]
        assert any(words in message for message in said) == (not is_beside)
        recwarn.clear()
