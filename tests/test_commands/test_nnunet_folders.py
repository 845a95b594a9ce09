"""Folders as nnU-Net leaves them, from a fit to calibrated maps and their metrics."""

import json

import nibabel
import numpy as np
import pytest

from mmaslp.calibration import Calibrator
from mmaslp.commands import run_command
from mmaslp.evaluation.result import load_results
from mmaslp.files.prob_maps import MapReader

CLASSES = {'background': 0, 'organ': 1, 'tumour': 2}
REGIONS = {'background': 0, 'organ': [1, 2], 'tumour': [2]}
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def nifti(path, values):
    image = nibabel.Nifti1Image(values.T.astype(np.uint8), AFFINE)
    nibabel.save(image, path)


def blob(at, side):
    grid = np.indices((4, 16, 16))
    shift = np.array(at).reshape(3, 1, 1, 1)
    return side - np.abs(grid - shift).max(0) + 0.0


def write_cases(folder, labels, number, seed=0):
    """An over-confident network's maps with their segmentations, and true labels."""
    rng = np.random.default_rng(seed)
    maps, truth = folder / 'maps', folder / 'labels'
    maps.mkdir(parents=True)
    truth.mkdir()
    description = {'labels': labels, 'file_ending': '.nii.gz'}
    (maps / 'dataset.json').write_text(json.dumps(description))
    for case in range(number):
        at = 2, *rng.integers(5, 11, 2)
        logits = np.stack([np.zeros((4, 16, 16)), blob(at, 4), 2 * blob(at, 2)])
        logits += rng.normal(0, 1, logits.shape)
        label = (logits + rng.gumbel(0, 2, logits.shape)).argmax(0)
        if labels is REGIONS:
            prob = 1 / (1 + np.exp(-2 * logits[1:]))
        else:
            prob = np.exp(2 * logits)
            prob /= prob.sum(0)
        stem = maps / f'p{case:02}'
        np.savez_compressed(f'{stem}.npz', probabilities=prob.astype(np.float32))
        nifti(f'{stem}.nii.gz', logits.argmax(0))
        nifti(truth / f'p{case:02}.nii.gz', label)
    return maps, truth


def run(command, *args):
    return run_command(command, [str(arg) for arg in args])


@pytest.mark.parametrize('labels', [CLASSES, REGIONS], ids=['classes', 'regions'])
def test_one_foreground_of_several(tmp_path, labels, capsys, recwarn):
    maps, truth = write_cases(tmp_path, labels, 8)
    calibrator = tmp_path / 'calibrator.json'
    tumour = '--channel', 'tumour'
    options = '--method', 'temperature', *tumour
    assert run('fit', maps, truth, '--out', calibrator, *options) == 0
    assert Calibrator.load(calibrator).fit_record.foreground_name == 'tumour'

    out = tmp_path / 'out'
    args = calibrator, maps, '--out', out, '--masks', 'keep'
    assert run('apply', *args, *tumour) == 0
    reader = MapReader(channel='tumour')
    before, after = reader.read(maps / 'p00.npz'), reader.read(out / 'p00.npz')
    np.testing.assert_array_equal(after > 0.5, before > 0.5)
    assert np.abs(after - 0.5).mean() < np.abs(before - 0.5).mean()

    result = tmp_path / 'result.json'
    recwarn.clear()
    args = maps, out, truth, '--resamples', 0, '--json', result
    assert run('eval-maps', *args, *tumour) == 0
    raw, calibrated = load_results(result)
    assert calibrated.metrics['ece'] < raw.metrics['ece']
    # Segmentations are copied, and say where the voxels lie.
    assert not [w for w in recwarn if 'do not say where' in str(w.message)]
    assert (out / 'p00.nii.gz').read_bytes() == (maps / 'p00.nii.gz').read_bytes()


def test_folders_that_are_swapped(tmp_path, capsys):
    maps, truth = write_cases(tmp_path, CLASSES, 5)
    assert run('fit', truth, maps, '--out', tmp_path / 'c.json') == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 2
    assert 'labels contains masks, and' in said


def test_the_calibrator_of_another_foreground(tmp_path, capsys):
    maps, truth = write_cases(tmp_path, REGIONS, 8)
    calibrator = tmp_path / 'calibrator.json'
    options = '--method', 'temperature', '--channel', 'tumour'
    assert run('fit', maps, truth, '--out', calibrator, *options) == 0
    out = tmp_path / 'out'
    commands = [
        ('apply', calibrator, maps, '--out', out),
        ('review', maps, '--calibrator', calibrator, '--out', tmp_path / 'r.csv'),
        ('drift', maps, '--calibrator', calibrator),
    ]
    for command in commands:
        capsys.readouterr()
        assert run(*command, '--channel', 'organ') == 2
        said = capsys.readouterr().err
        assert "these are maps of 'organ', and the calibrator was fitted to" in said
        assert 'give --channel tumour, or' in said
        assert not out.exists()

    # Another data set may have another name for it.
    renamed = {'background': 0, 'organ': [1, 2], 'lesion': [2]}
    (maps / 'dataset.json').write_text(json.dumps({'labels': renamed}))
    with pytest.warns(UserWarning, match="maps of 'lesion', and the calibrator"):
        assert run(*commands[0], '--channel', 'lesion') == 0
