"""Labels that are wrong: an object that lacks, one too many, a border that is off."""

import csv

import numpy as np
import pytest
from PIL import Image

from mmaslp import fit_calibrator
from mmaslp.commands import run_command
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.workflows.review import ReviewOptions, review_image
from mmaslp.workflows.suspects import find_suspects
from tests.test_calibration.object_scenes import discs


@pytest.fixture(scope='module')
def calibrator():
    return fit_calibrator(*zip(*[discs(k) for k in range(40)]))


def scene():
    """A map of two discs and its label, which fits."""
    y, x = np.indices((48, 48))
    one, two = ((y - c) ** 2 + (x - c) ** 2 < 49 for c in (12, 36))
    label = (one | two).astype(np.uint8)
    return np.where(label, 0.95, 0.03), label, one


def suspects(calibrator, prob, label):
    options = ReviewOptions(extras={'suspects': find_suspects})
    row = review_image(calibrator, 'a', prob, label, options=options)
    return row.extras['suspects']


def test_each_error_is_the_most_suspicious(calibrator):
    prob, label, one = scene()
    right = suspects(calibrator, prob, label)
    assert not [each for each in right if each.score > 0]

    first, *_ = suspects(calibrator, prob, label * ~one)
    assert first.kind == 'not labelled'
    assert first.box.tolist() == [[6, 18], [6, 18]]
    assert first.area == one.sum()

    more = label.copy()
    more[30:40, 4:12] = 1
    first, *_ = suspects(calibrator, prob, more)
    assert first.kind == 'not seen'
    assert first.box.tolist() == [[30, 39], [4, 11]]

    moved = np.roll(label, (4, 3), (0, 1))
    first, *_ = suspects(calibrator, prob, moved)
    assert first.kind == 'border'
    assert first.area == ((prob > 0.5) != moved).sum()

    moved[:14] = 255  # what nobody labelled is not wrong
    [border] = (s for s in suspects(calibrator, prob, moved) if s.kind == 'border')
    assert border.area == ((prob > 0.5) != moved)[14:].sum()
    assert border.box[0, 0] >= 14


def test_a_larger_error_is_more_suspicious(calibrator):
    prob, label, _ = scene()
    scores = []
    for size in (3, 6, 12):
        more = label.copy()
        more[30 : 30 + size, 4 : 4 + size] = 1
        scores.append(suspects(calibrator, prob, more)[0].score)
    assert scores == sorted(scores)
    seen = prob.copy()
    seen[30:42, 4:16] = 0.4
    assert suspects(calibrator, seen, more)[0].score < scores[-1]


def test_one_slice_scores_as_an_image(calibrator):
    """Before, it scored log(1000) more."""
    prob, label, _ = scene()
    found = [each.score for each in suspects(calibrator, prob, label)]
    of_slice = [each.score for each in suspects(calibrator, prob[None], label[None])]
    assert of_slice == pytest.approx(found)


def test_of_an_empty_mask_only_objects_are_suspicious():
    scenes = [discs(k) for k in range(40)]
    empty = [(np.full((48, 48), 0.01), np.zeros((48, 48), np.uint8))] * 10
    found = suspects(fit_calibrator(*zip(*scenes, *empty)), empty[0][0], scenes[0][1])
    assert found
    assert {each.kind for each in found} == {'not seen'}


def test_labels_below_the_smallest_size_are_left_out(calibrator):
    prob, label, _ = scene()
    label[30:35, 4:10] = 1
    for smallest, kinds in ((30, ['not seen']), (31, [])):
        options = ReviewOptions(smallest=smallest, extras={'suspects': find_suspects})
        found = review_image(calibrator, 'a', prob, label, options=options)
        suspects = found.extras['suspects']
        assert [each.kind for each in suspects if each.kind != 'border'] == kinds


def test_the_file_is_in_order_and_the_page_says_out_of_fold(calibrator, tmp_path):
    calibrator.save(tmp_path / 'c.json')
    for kind in ('maps', 'masks'):
        (tmp_path / kind).mkdir()
    prob, label, one = scene()
    labels = {'right': label, 'lacks': label * ~one, 'off': np.roll(label, 3, 1)}
    for name, own in labels.items():
        write_prob_map(tmp_path / 'maps' / f'{name}.png', prob)
        Image.fromarray(own * 255).save(tmp_path / 'masks' / f'{name}.png')
    out, page = tmp_path / 's.csv', tmp_path / 'page.html'
    args = [str(tmp_path / 'maps'), '--calibrator', str(tmp_path / 'c.json')]
    args += ['--suspects', str(out), '--report', str(page)]
    assert run_command('review', args) == 2  # without labels
    assert run_command('review', [*args, '--labels', str(tmp_path / 'masks')]) == 0
    rows = [*csv.DictReader(out.open())]
    assert rows[0]['image'] == 'lacks'
    assert {row['image'] for row in rows} == {'lacks', 'off'}
    scores = [float(row['score']) for row in rows]
    assert scores == sorted(scores, reverse=True)
    text = page.read_text()
    assert 'The network must not have been trained on these images' in text
    assert text.count('not labelled</td>') == 1


def test_masks_of_other_labels_or_shapes_are_refused(calibrator):
    prob, label = discs(0)
    with pytest.raises(ValueError, match='label contains 7'):
        review_image(calibrator, 'a', prob, 7 * label)
    with pytest.raises(ValueError, match='must have one shape'):
        review_image(calibrator, 'a', prob, label.reshape(-1))
