"""Objects of a set whose alarm rings have no probability, whatever shows them."""

import base64
import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit

from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.calibration.sets import SetComparison
from mmaslp.commands import review, run_command
from mmaslp.files.map_pairs import MapFiles
from mmaslp.files.object_volumes import COLOURS, UNKNOWN
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.workflows.review import ReviewOptions, review_maps
from mmaslp.workflows.suspects import find_suspects
from tests.test_calibration.object_scenes import discs, write_scenes


@pytest.fixture(scope='module')
def calibrator():
    return fit_calibrator(*zip(*(discs(k) for k in range(60))))


def sharper(prob, factor=2.5):
    return expit(factor * logit(prob.clip(1e-5, 1 - 1e-5)))


def judged(calibrator, change):
    return [calibrator.judge(change(discs(k)[0])) for k in range(100, 140)]


def test_no_object_of_another_set_is_called_sure(calibrator):
    """Before, they kept the probability that the fit had learned, some above .9."""
    rows = judged(calibrator, sharper)
    shipped = np.concatenate([table.probability for _, table in rows])
    assert (shipped > 0.9).any()

    comparison, _ = calibrator.compare_set([estimate for estimate, _ in rows])
    assert comparison.objects_withheld
    for _, table in rows:
        told = comparison.objects(table)
        assert np.isnan([told.probability, told.low, told.high]).all()
        assert np.array_equal(told.mean, table.mean)
        assert np.array_equal(told.labels, table.labels)
    assert 'the probability of each object' in str(comparison)


def test_objects_of_a_set_like_the_fit_keep_their_probability(calibrator):
    rows = judged(calibrator, lambda prob: prob)
    comparison, _ = calibrator.compare_set([estimate for estimate, _ in rows])
    assert not comparison.objects_withheld
    for _, table in rows:
        assert comparison.objects(table) is table


@pytest.mark.parametrize(
    ('auc', 'p_value', 'differs', 'alarm'),
    [
        (0.55, 0.0005, True, True),  # bounds are weighted
        (0.7, 0.01, False, True),  # bounds are withheld
        (0.55, 0.01, False, False),
        (0.7, 0.02, False, False),
    ],
)
def test_when_the_alarm_rings(calibrator, auc, p_value, differs, alarm):
    comparison = SetComparison((60, 40), auc, p_value, differs, {}, 60.0, 0.9)
    _, table = calibrator.judge(discs(3)[0])
    assert comparison.objects_withheld == alarm
    assert np.isnan(comparison.objects(table).probability).all() == alarm
    assert ('withheld' in str(comparison)) == alarm


def test_a_calibrator_without_objects_tells_all_else(calibrator):
    prob, _ = discs(3)
    estimate, table = calibrator.judge(prob)
    same, silent = calibrator.without_objects().judge(prob)
    assert same == estimate
    assert np.isnan(silent.probability).all()
    assert np.array_equal(silent.mean, table.mean)
    assert calibrator.decisions.objects is not None


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A calibrator, maps like those of its fit, and sharper ones."""
    root = tmp_path_factory.mktemp('elsewhere')
    val = write_scenes(root / 'val', 40)
    file = root / 'c.json'
    assert run_command('fit', [*map(str, val), '--out', str(file)]) == 0
    maps, _ = write_scenes(root / 'test', 20, first=500)
    other = root / 'other'
    other.mkdir()
    for path in maps.iterdir():
        prob = np.asarray(Image.open(path)) / 65535
        write_prob_map(other / path.name, sharper(prob), bits=16)
    return file, maps, other


def test_suspects_of_another_set_follow_nothing_that_is_withheld(folders, tmp_path):
    """Before, their order was that by probabilities that the tables left out."""
    file, maps, other = folders
    labels = maps.parent / 'masks'
    out = tmp_path / 's.csv'
    args = [str(other), '--calibrator', str(file), '--labels', str(labels)]
    assert run_command('review', [*args, '--suspects', str(out)]) == 0
    calibrator = Calibrator.load(file)
    rows = review_maps(
        calibrator.without_objects(),
        MapFiles.of(other, labels),
        options=ReviewOptions(extras={'suspects': find_suspects}),
    )
    scores = []
    for row in rows:
        for suspect in row.extras['suspects']:
            if suspect.kind != 'border' and suspect.score > 0:
                scores.append(suspect.score)
    written = rows_of(out)
    assert written
    assert {row['kind'] for row in written} <= {'not labelled', 'not seen'}
    found = [float(row['score']) for row in written]
    assert found == pytest.approx(sorted(scores, reverse=True), rel=1e-3)


def rows_of(path):
    with open(path, newline='') as file:
        return [*csv.DictReader(file)]


def colours_of(page):
    """Colours of outlines that occur in the pictures of a page."""
    seen = set()
    for data in re.findall(r'data:image/webp;base64,([^"]+)', page):
        picture = Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB')
        pixels = np.asarray(picture).astype(int)
        for colour in (*(colour for _, colour in COLOURS), UNKNOWN):
            if (np.abs(pixels - colour).max(-1) < 12).any():
                seen.add(colour)
    return seen


def test_files_of_a_review_have_no_probabilities_after_an_alarm(
    folders, tmp_path, capsys, monkeypatch
):
    pytest.importorskip('pycocotools')
    monkeypatch.setattr(review, 'MOST_PICTURES', 7)  # the others are read once
    file, maps, other = folders
    coloured = {colour for _, colour in COLOURS}
    for folder, rings in ((maps, False), (other, True)):
        out = tmp_path / folder.name
        out.mkdir()
        args = [str(folder), '--calibrator', str(file)]
        args += ['--out', str(out / 'r.csv'), '--objects', str(out / 'o.csv')]
        args += ['--coco', str(out / 'c.json'), '--report', str(out / 'p.html')]
        assert run_command('review', args) == 0
        again = 'Reads 7 maps again, to show what does not depend on'
        assert (again in capsys.readouterr().out) == rings

        objects = rows_of(out / 'o.csv')
        assert len(objects) > 20
        assert all((row['probability'] == '') == rings for row in objects)
        assert all(row['mean_p'] for row in objects)
        for row in rows_of(out / 'r.csv'):
            assert row['objects'] == '0' or (row['least_object'] == '') == rings

        coco = json.loads((out / 'c.json').read_text())
        assert len(coco['annotations']) == len(objects)
        assert all(('score' not in each) == rings for each in coco['annotations'])

        shown = colours_of((out / 'p.html').read_text())
        assert (coloured & shown == set()) == rings


def test_tables_of_volumes_have_no_probabilities_after_an_alarm(tmp_path):
    nibabel = pytest.importorskip('nibabel')
    options = dict(depth=6, size=32)
    scenes = [discs(k, **options) for k in range(30)]
    calibrator = fit_calibrator(*zip(*scenes))
    calibrator.save(tmp_path / 'c.json')
    assert Calibrator.load(tmp_path / 'c.json').decisions.objects is not None

    for name, change in (('alike', lambda prob: prob), ('other', sharper)):
        maps = tmp_path / name
        maps.mkdir()
        for k in range(100, 120):
            values = change(discs(k, **options)[0]).astype(np.float32)
            volume = nibabel.Nifti1Image(values.T, np.diag([0.5, 0.5, 2, 1]))
            nibabel.save(volume, maps / f'{k}.nii.gz')

        out = tmp_path / f'{name}_objects'
        args = [str(maps), '--calibrator', str(tmp_path / 'c.json')]
        assert run_command('review', [*args, '--objects-out', str(out)]) == 0
        tables = [path.read_text() for path in sorted(out.glob('*.label.txt'))]
        assert len(tables) == 20
        has_unknown = ['real with unknown' in table for table in tables]
        has_number = ['real with 0' in table for table in tables]
        if name == 'other':
            assert any(has_unknown)
            assert not any(has_number)
        else:
            assert not any(has_unknown)
            assert any(has_number)


def test_the_order_is_that_of_the_review(calibrator):
    """What is withheld of objects moves no image."""
    rows = judged(calibrator.without_objects(), sharper)
    scores = [estimate.score for estimate, _ in rows]
    assert scores == [estimate.score for estimate, _ in judged(calibrator, sharper)]


@pytest.mark.parametrize('option', ['--min-object-prob', '--keep-real', '--max-false'])
def test_no_mask_leaves_objects_out_after_an_alarm(folders, tmp_path, capsys, option):
    """Before, it left out objects by probabilities that a review withholds."""
    file, maps, other = folders
    options = ['--masks', 'keep', option, '0.6']
    for folder, code in ((maps, 0), (other, 2)):
        out = tmp_path / folder.name
        args = [str(file), str(folder), '--out', str(out), *options]
        assert run_command('apply', args) == code
        assert out.exists() == (code == 0)
        assert (tmp_path / f'{folder.name}_masks').exists() == (code == 0)

    error = capsys.readouterr().err
    assert 'The 20 new images differ from the 40 images of the fit' in error
    assert 'Masks that keep all objects, however probable, can be written' in error
    args = [str(file), str(other), '--out', str(out), '--masks', 'keep']
    assert run_command('apply', args) == 0


def test_so_few_maps_that_no_alarm_can_ring_may_leave_objects_out(folders, tmp_path):
    file, maps, _ = folders
    some = tmp_path / 'some'
    some.mkdir()
    for path in sorted(maps.iterdir())[:2]:
        (some / path.name).write_bytes(path.read_bytes())
    args = [str(file), str(some), '--out', str(tmp_path / 'out'), '--masks', 'keep']
    with pytest.warns(UserWarning, match='too few maps, or groups of them, to compare'):
        assert run_command('apply', [*args, '--min-object-prob', '0.5']) == 0


def test_a_number_that_is_none_is_refused_in_a_file(folders, tmp_path):
    """Before, NaN counted as what is not known, and bounds moved."""
    content = json.loads(folders[0].read_text())
    content['decisions']['accuracy_errors'][10] = float('nan')
    edited = tmp_path / 'c.json'
    edited.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='NaN is no number'):
        Calibrator.load(edited)


def test_groups_of_maps_that_objects_are_left_out_of(folders, tmp_path, capsys):
    file, _, other = folders
    args = [str(file), str(other), '--out', str(tmp_path / 'out'), '--masks', 'keep']
    assert run_command('apply', [*args, '--groups', '^..']) == 2
    assert '--groups are for the set' in capsys.readouterr().err
    args += ['--min-object-prob', '0.5', '--groups']
    # Two groups are too few for an alarm.
    assert run_command('apply', [*args, '^..']) == 0
    assert run_command('apply', [*args, '(', '--overwrite']) == 2
