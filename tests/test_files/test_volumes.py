"""Volumes as .npy, .npz, .nii and .nii.gz, through the commands and back."""

import csv
import gzip
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmaslp import Calibrator, fit_calibrator
from mmaslp.commands import run_command
from mmaslp.files.prob_maps import MapReader
from mmaslp.files.reviews import Judged
from mmaslp.files.stored_maps import StoredMap
from mmaslp.files.volumes import Grid, grid_of, read_nifti
from mmaslp.metrics import CalibrationHistogram
from mmaslp.workflows.measure import evaluate_maps
from tests.review_samples import estimate, reviewed, table_of
from tests.test_calibration.object_scenes import discs

nibabel = pytest.importorskip('nibabel')

ENDINGS = ('.npy', '.npz', '.nii', '.nii.gz')
SHAPE = dict(depth=6, size=32)


def write(path, values, affine=None, zooms=(1, 1, 3)):
    """Write an array (D, H, W) as a file of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npy':
        np.save(path, values)
    elif path.suffix == '.npz':
        np.savez_compressed(path, values)
    else:
        affine = np.diag([*zooms, 1]) if affine is None else affine
        nibabel.save(nibabel.Nifti1Image(values.T, affine), path)


def write_volumes(root, number=12, ending='.nii.gz', first=0):
    """Folders of maps and masks, and their arrays."""
    arrays = [discs(k, **SHAPE) for k in range(first, first + number)]
    arrays = [(prob.astype(np.float32), mask) for prob, mask in arrays]
    for k, (prob, mask) in enumerate(arrays):
        write(root / f'maps/{k:02}{ending}', prob)
        write(root / f'masks/{k:02}{ending}', mask)
    return root / 'maps', root / 'masks', arrays


@pytest.mark.parametrize('ending', ENDINGS)
def test_files_give_the_figures_of_the_arrays(tmp_path, ending):
    maps, masks, arrays = write_volumes(tmp_path, ending=ending)
    histogram = CalibrationHistogram()
    for prob, mask in arrays:
        histogram.update(prob, mask)
    result = evaluate_maps(maps, masks, resamples=0)
    for key, value in histogram.compute().items():
        if key in result.metrics:
            assert result.metrics[key] == pytest.approx(value, abs=1e-12, nan_ok=True)
    file = tmp_path / 'c.json'
    assert run_command('fit', [str(maps), str(masks), '--out', str(file)]) == 0
    expected = fit_calibrator([p for p, _ in arrays], [m for _, m in arrays])
    found = Calibrator.load(file)
    np.testing.assert_array_equal(found.table, expected.table)
    assert asdict(found.decisions) == asdict(expected.decisions)


@pytest.mark.parametrize('ending', ENDINGS)
def test_maps_and_masks_are_written_as_they_came(tmp_path, ending):
    maps, masks, arrays = write_volumes(tmp_path, ending=ending)
    calibrator = fit_calibrator([p for p, _ in arrays], [m for _, m in arrays])
    calibrator.save(tmp_path / 'c.json')
    out = tmp_path / 'out'
    args = [str(tmp_path / 'c.json'), str(maps), '--out', str(out), '--masks', 'dice']
    assert run_command('apply', args) == 0
    reader = MapReader()
    for k, (prob, _) in enumerate(arrays):
        path = out / f'{k:02}{ending}'
        np.testing.assert_allclose(reader.read(path), calibrator(prob), atol=1e-6)
        if 'nii' in ending:
            given, written = (nibabel.load(p) for p in (maps / path.name, path))
            np.testing.assert_array_equal(given.affine, written.affine)
            assert given.header.get_zooms() == written.header.get_zooms()
            assert given.header['qform_code'] == written.header['qform_code']
    # What was written is read back, as maps and as masks.
    written = tmp_path / 'out_masks'
    suffix = ending if 'nii' in ending else '.npy'
    assert {path.name for path in written.iterdir()} == {
        f'{k:02}{suffix}' for k in range(12)
    }
    same = shutil.copytree(written, tmp_path / 'same')
    for gt in (masks, same):
        result = evaluate_maps(written, gt, resamples=0)
        assert result.metrics['conf'] == 1
    assert result.metrics['acc'] == 1
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert run_command('apply', [*args, '--overwrite']) == 0
    assert before == {path: path.read_bytes() for path in out.iterdir()}


def test_the_review_of_a_volume(tmp_path):
    maps, masks, arrays = write_volumes(tmp_path, number=30)
    calibrator = fit_calibrator([p for p, _ in arrays], [m for _, m in arrays])
    calibrator.save(tmp_path / 'c.json')
    args = [str(maps), '--calibrator', str(tmp_path / 'c.json'), '--truth', str(masks)]
    args += ['--out', str(tmp_path / 'r.csv'), '--objects', str(tmp_path / 'o.csv')]
    assert run_command('review', [*args, '--report', str(tmp_path / 'r.html')]) == 0
    rows = list(csv.DictReader((tmp_path / 'r.csv').open()))
    for row in rows:
        expected = calibrator.image(arrays[int(row['image'])][0])
        assert float(row['dice']) == pytest.approx(expected.dice, rel=1e-4)
        assert float(row['volume_mm3']) == pytest.approx(expected.area * 3, rel=1e-4)


@pytest.mark.parametrize('axis', [0, pytest.param(1, marks=pytest.mark.release), 2])
def test_slices_lie_across_the_coarsest_axis(tmp_path, axis):
    # The same volumes, stored with the axis of the slices elsewhere.
    arrays = [discs(k, **SHAPE) for k in range(12)]
    zooms = np.roll([3.0, 1.0, 1.0], axis)
    for k, (prob, mask) in enumerate(arrays):
        for name, values in (('maps', prob.astype(np.float32)), ('masks', mask)):
            moved = np.moveaxis(values, 0, axis)
            write(tmp_path / name / f'{k:02}.nii.gz', moved, zooms=zooms[::-1])
    maps, masks = tmp_path / 'maps', tmp_path / 'masks'
    reader = MapReader()
    result = evaluate_maps(maps, masks, resamples=0, reader=reader)
    assert StoredMap(maps / '00.nii.gz').slice_axis == axis
    straight = write_volumes(tmp_path / 'straight')
    expected = evaluate_maps(*straight[:2], resamples=0)
    assert result.metrics == expected.metrics

    # Places of objects and written files are those of the file.
    calibrator = fit_calibrator(*zip(*arrays))
    calibrator.save(tmp_path / 'c.json')
    file = str(tmp_path / 'c.json')
    args = [str(maps), '--calibrator', file, '--out', str(tmp_path / 'r.csv')]
    args += ['--objects', str(tmp_path / 'o.csv')]
    assert run_command('review', args) == 0
    values = read_nifti(maps / '00.nii.gz')
    rows = csv.DictReader((tmp_path / 'o.csv').open())
    for row in rows:
        if row['image'] == '00':
            box = tuple(
                slice(int(row[f'{name}_first']), int(row[f'{name}_last']) + 1)
                for name in 'zyx'
            )
            assert (values[box] > 0.5).sum() >= int(row['area'])
    out = tmp_path / 'out'
    args = [file, str(maps), '--out', str(out), '--masks', 'keep']
    assert run_command('apply', args) == 0
    mask = read_nifti(tmp_path / 'out_masks/00.nii.gz')
    np.testing.assert_array_equal(mask, values > 0.5)
    assert grid_of(out / '00.nii.gz') == grid_of(maps / '00.nii.gz')


def test_the_plan_of_nnunet_names_the_slices(tmp_path):
    prob = discs(0, **SHAPE)[0].astype(np.float32)
    moved = np.moveaxis(prob, 0, 2)
    np.savez(tmp_path / 'a.npz', probabilities=np.stack([1 - moved, moved]))
    labels = {'labels': {'background': 0, 'lesion': 1}}
    (tmp_path / 'dataset.json').write_text(json.dumps(labels))
    plans = {'image_reader_writer': 'SimpleITKIO', 'transpose_forward': [2, 0, 1]}
    (tmp_path / 'plans.json').write_text(json.dumps(plans))
    reader = MapReader()
    np.testing.assert_array_equal(reader.read(tmp_path / 'a.npz'), prob)
    assert StoredMap(tmp_path / 'a.npz').slice_axis == 2


def test_a_transposed_mask_is_named(tmp_path, capsys):
    maps, masks, arrays = write_volumes(tmp_path, number=2, ending='.npy')
    np.save(masks / '00.npy', arrays[0][1].T)
    assert run_command('eval-maps', [str(maps), str(masks)]) == 2
    said = capsys.readouterr().err
    assert 'its axes lie in another order' in said
    assert 'transpose' in said


ELSEWHERE = {
    'mirrored': np.diag([-1, -1, 3, 1]),
    'transposed': np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]),
    '30 mm off': np.array([[1, 0, 0, 30], [0, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]),
    'another spacing': np.diag([1, 1, 2, 1]),
}


@pytest.mark.parametrize('case', ELSEWHERE)
def test_a_mask_that_lies_elsewhere_is_one_problem(tmp_path, capsys, case):
    maps, masks, arrays = write_volumes(tmp_path, number=2)
    write(masks / '00.nii.gz', arrays[0][1], affine=ELSEWHERE[case])
    assert run_command('eval-maps', [str(maps), str(masks)]) == 2
    said = capsys.readouterr().err
    assert '1 problem(s)' in said
    assert str(maps / '00.nii.gz') in said
    one, two = said.split(' (')[1].split(')')[0].split(', and ')
    assert one == '1 x 1 x 3 mm from R 0.0, A 0.0, S 0.0 to RAS'
    assert two != one


def placed(affine, spacing):
    """The grid of a file with this affine, which keeps it as float32."""
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float32), affine)
    return Grid(spacing, 'RAS', tuple(map(tuple, image.get_sform())))


def test_a_volume_turned_about_its_diagonal_is_elsewhere():
    """Two opposite corners stay where they are."""
    turn = Rotation.from_rotvec(np.radians(10) * np.ones(3) / 3**0.5)
    affine = np.eye(4)
    affine[:3, :3] = turn.as_matrix()
    straight, turned = placed(np.eye(4), (1, 1, 1)), placed(affine, (1, 1, 1))
    shape = (64, 64, 64)
    assert straight.same_place(shape, straight, shape)
    assert not straight.same_place(shape, turned, shape)


@pytest.mark.parametrize('spacing', [0.8, 0.7, 0.3, 1.2, 2.2])
def test_half_a_voxel_is_elsewhere_whatever_float32_makes_of_it(spacing):
    def placed_at(origin):
        affine = np.diag([spacing, spacing, 3, 1])
        affine[0, 3] = origin
        return placed(affine, (3, spacing, spacing))

    for origin in (10, 10.4, -120.3, 33.1, -80, 299.7):
        for part, same in ((0.5, False), (-0.5, False), (0.4, True), (0, True)):
            moved = placed_at(origin + part * spacing)
            assert placed_at(origin).same_place((4, 4, 4), moved, (4, 4, 4)) == same


@pytest.mark.parametrize('name', ['maps', 'masks'])
@pytest.mark.parametrize('place', [2, 40, -200, -6])
def test_a_corrupt_gzip_is_one_problem(tmp_path, capsys, name, place):
    """Its header, a value, and the checksum at its end."""
    maps, masks, _ = write_volumes(tmp_path, number=2)
    path = tmp_path / name / '00.nii.gz'
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)
    assert run_command('eval-maps', [str(maps), str(masks)]) == 2
    said = capsys.readouterr().err
    assert '1 problem(s)' in said
    assert str(path) in said


@pytest.mark.parametrize(('unit', 'size'), [('micron', 1000), ('meter', 0.001)])
def test_units_and_affine_give_the_size_of_a_voxel(tmp_path, unit, size):
    affine = np.diag([2 * size, 2 * size, 3 * size, 1])
    affine[0, 1] = size  # sheared: the volume stays
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float32), affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / 'a.nii')
    assert grid_of(tmp_path / 'a.nii').voxel == pytest.approx(12)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (np.array([[0, 1], [2, 1]]), 'contains 0, 1, 2'),
        (np.array([[0, 1], [255, 1]]), 'contains 0, 1, 255'),
        (np.array([[0, 0.5], [1, 1]]), r'contains 0, 0\.5, 1'),
        (np.zeros((2, 2, 2, 2)), r'a mask is \(H, W\) or \(D, H, W\)'),
    ],
)
def test_other_masks_are_refused(tmp_path, capsys, values, message):
    write(tmp_path / 'maps/a.npy', np.full(values.shape[:2], 0.5))
    write(tmp_path / 'masks/a.npy', values)
    args = [str(tmp_path / 'maps'), str(tmp_path / 'masks')]
    with pytest.raises(ValueError, match=message):
        evaluate_maps(*args, resamples=0)


def test_damaged_and_odd_files_are_named(tmp_path):
    write(tmp_path / 'a.nii.gz', np.full((2, 4, 4), 0.5, np.float32))
    whole = (tmp_path / 'a.nii.gz').read_bytes()
    (tmp_path / 'b.nii.gz').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'c.nii').write_bytes(b'not a volume')
    four = nibabel.Nifti1Image(np.full((4, 4, 2, 3), 0.5, np.float32), np.eye(4))
    nibabel.save(four, tmp_path / 'd.nii')
    nibabel.save(
        nibabel.Nifti1Image(np.full((4, 4, 2), 7, np.uint8), np.eye(4)),
        tmp_path / 'e.nii',
    )
    # The place of the values, which nibabel takes from the header: 0 is the header.
    data = bytearray(gzip.decompress(whole))
    data[108:112] = bytes(4)
    (tmp_path / 'f.nii').write_bytes(data)
    cases = dict(b='cannot be read', c='NIfTI', d='one volume', e='`max_value`')
    cases['f'] = 'before its header ends'
    for name, words in cases.items():
        path = next(tmp_path.glob(f'{name}.nii*'))
        with pytest.raises(ValueError, match=rf'{path.name}: .*{words}'):
            MapReader().read(path)


def test_an_upper_case_ending_is_compressed_too(tmp_path):
    maps, *_, arrays = write_volumes(tmp_path, number=2)
    for path in [*maps.iterdir()]:
        path.rename(path.with_name(path.name.replace('.nii.gz', '.NII.GZ')))
    calibrator = Calibrator('temperature', 'single', 'confidence', [([0, 9], [0, 3])])
    calibrator.save(tmp_path / 'c.json')
    args = [str(tmp_path / 'c.json'), str(maps), '--out', str(tmp_path / 'out')]
    assert run_command('apply', args) == 0
    found = MapReader().read(tmp_path / 'out' / '01.NII.GZ')
    np.testing.assert_allclose(found, calibrator(arrays[1][0]), atol=1e-6)


def test_an_affine_of_nan_stays(tmp_path):
    maps, *_ = write_volumes(tmp_path, number=2)
    for path in maps.iterdir():
        values = np.asarray(nibabel.load(path).dataobj)
        header = nibabel.Nifti1Header()
        header['sform_code'] = 1
        header['srow_x'] = np.nan
        nibabel.save(nibabel.Nifti1Image(values, None, header), path)
    Calibrator('temperature', 'single', 'confidence', [([0, 9], [0, 3])]).save(
        tmp_path / 'c.json'
    )
    args = [str(tmp_path / 'c.json'), str(maps), '--out', str(tmp_path / 'out')]
    assert run_command('apply', [*args, '--masks', 'keep']) == 0
    for folder in ('out', 'out_masks'):
        header = nibabel.load(tmp_path / folder / '00.nii.gz').header
        assert np.isnan(header['srow_x']).all()


@pytest.mark.parametrize('odd', [0.0, 1e19, 1.7e38])
def test_an_affine_that_leads_nowhere_has_no_orientation(tmp_path, odd):
    header = nibabel.Nifti1Header()
    affine = np.diag([1.0, 1, 3, 1])
    affine[0] = [odd and 1, 0, odd, 0]
    header.set_sform(affine, code=1)
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.float32), None, header)
    nibabel.save(image, tmp_path / 'x.nii')
    assert grid_of(tmp_path / 'x.nii').orientation == '???'


@pytest.mark.parametrize('sides, known', [('RAS', True), ('???', False)])
def test_places_in_mm_are_of_volumes_that_say_where_they_lie(sides, known):
    labels = np.zeros((6, 10, 12), np.int32)
    labels[1:3, 2:5, 3:9] = 1
    grid = Grid((5.0, 2.0, 2.0), sides, tuple(map(tuple, np.diag([2.0, 2, 5, 1]))))
    table = table_of(labels, [0.25])
    row = reviewed(Judged(None, 'a', labels * 0.9, table, estimate(), grid=grid))
    assert np.isfinite(row.in_mm(table.centre)).all() == known
    assert row.voxel == pytest.approx(20)
