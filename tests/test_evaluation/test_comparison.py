from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmaslp.evaluation import comparison as module
from mmaslp.evaluation.comparison import (
    Measured,
    by_images,
    compare,
    compare_files,
    compare_within,
)
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import load_results, save_result
from mmaslp.evaluation.verdict import describe
from mmaslp.report.page import report_html, write_report
from mmaslp.workflows.measure import evaluate_maps
from tests.test_report import sections as helper


@pytest.fixture
def files(tmp_path):
    """Results of a calibrated and of an over-confident model on twelve images."""
    rng = np.random.default_rng(1)
    for folder in ('good', 'over', 'masks'):
        (tmp_path / folder).mkdir()
    for i in range(12):
        prob = rng.random((16, 16))
        mask = rng.random((16, 16)) < prob
        Image.fromarray(mask * np.uint8(255)).save(tmp_path / 'masks' / f'{i}.png')
        np.save(tmp_path / 'good' / f'{i}.npy', prob)
        over = prob**3 / (prob**3 + (1 - prob) ** 3)
        np.save(tmp_path / 'over' / f'{i}.npy', over)
    paths = []
    for name in ('good', 'over'):
        result = evaluate_maps(tmp_path / name, tmp_path / 'masks', resamples=0)
        paths.append(str(tmp_path / f'{name}.json'))
        save_result(paths[-1], result)
    return paths


def test_over_confidence_is_told_apart(files):
    [found] = compare_files(*files, resamples=200)
    row = found.metrics['ece']
    assert found.images == (12, 12)
    assert found.paired
    assert found.metrics['ece_band'].differs
    assert row.difference == pytest.approx(row.second - row.first)
    assert row.differs
    assert 0 < row.low < row.difference < row.high
    again, other = (compare_files(*files, resamples=number) for number in (200, 199))
    assert again == [found]
    assert other != [found]


@pytest.mark.parametrize('change', ['rolled', 'resized'])
def test_other_masks_under_the_same_names_are_refused(files, change, tmp_path):
    for path in (tmp_path / 'masks').iterdir():
        mask = np.roll(np.asarray(Image.open(path)), 3, 1)
        Image.fromarray(mask if change == 'rolled' else mask[:8]).save(path)
        if change == 'resized':
            maps = tmp_path / 'over' / f'{path.stem}.npy'
            np.save(maps, np.load(maps)[:8])
    result = evaluate_maps(tmp_path / 'over', tmp_path / 'masks', resamples=0)
    save_result(files[1], result, overwrite=True)
    with pytest.raises(
        ValueError, match=r'good\.json and .*over\.json: .* 12 images have oth'
    ):
        compare_files(*files)


def test_models_are_measured_alike():
    one = helper.result()
    positive = replace(one, settings={**one.settings, 'mode': 'positive'})
    with pytest.raises(ValueError, match="mode is 'top_label' in the first but 'posit"):
        compare(Measured(one), Measured(positive))
    other = helper.renamed(one, ['new', *one.images.names[1:]])
    assert not compare(Measured(one), Measured(other)).paired


def test_images_are_sorted_by_what_tells_them_apart():
    given = helper.result()
    images = Measured(
        helper.renamed(given, ['b/1.png', 'c/2.png', 'a/0.jpg', 'd/3.png'])
    ).images
    assert images.names == ['0', '1', '2', '3']
    assert images.table.count[0].tolist() == given.images.table.count[2].tolist()
    # A dot is no ending: a test stores paths, and eval-maps stems.
    path = helper.renamed(given, [f'x/{k}.v1.JPG' for k in range(4)])
    stem = helper.renamed(given, [f'{k}.v1' for k in range(4)])
    assert Measured(path).images.names == Measured(stem).images.names
    one = helper.renamed(given, ['b/1.png', 'a/1.png', 'a/0.png', 'b/0.png'])
    names = ['a/0.png', 'a/1.png', 'b/0.png', 'b/1.png']
    assert Measured(one).images.names == names
    with pytest.raises(ValueError, match='A, test: the same image is in it more'):
        Measured(helper.renamed(given, ['a', 'a', 'b', 'c'])).images  # noqa: B018


def test_rows_of_one_set_are_compared_like_with_like():
    rows = [
        Measured(helper.result(f'{name}{end}', gain=gain, calibrator=calibrator))
        for name, gain in (('A', 0.6), ('B', 2.0))
        for end, calibrator in (('', None), (', calibrated', 'c.json'))
    ]
    found = compare_within(rows)
    assert [each.titles for each in found] == [
        ('A', 'A, calibrated'),
        ('A', 'B'),
        ('A, calibrated', 'B, calibrated'),
        ('B', 'B, calibrated'),
    ]
    assert [each.of_calibrator for each in found] == [True, False, False, True]


def test_sets_are_told_apart_by_their_images():
    one, two = helper.two_models()
    three = helper.result('A', 'other', seed=1)
    blurred = replace(one, dataset='blurred')  # other images, the same masks
    rows = [Measured(each) for each in (one, two, three, blurred)]
    groups = [[row.result.dataset for row in group] for group in by_images(rows)]
    assert groups == [['test', 'test'], ['other'], ['blurred']]

    checksums = two.images.checksums + np.array([0, 0, 1, 0])
    two = replace(two, images=replace(two.images, checksums=checksums))
    with pytest.raises(ValueError, match=r"A and B on test: 1 images .*'<2>'"):
        by_images([Measured(one), Measured(two)])
    # Another set whose files happen to be named alike.
    two = replace(two, dataset='other')
    assert len(by_images([Measured(one), Measured(two)])) == 2


def test_a_file_of_several_models_is_read_and_drawn_once(tmp_path, monkeypatch):
    path = tmp_path / 'calibration_test.json'
    raw = helper.result('net', gain=2.0)
    calibrated = helper.result('net, calibrated', gain=1.0, calibrator='c.json')
    save_result(path, [raw, calibrated])
    read, drawn = [], []
    load, draw = module.load_results, module.resample
    monkeypatch.setattr(
        module, 'load_results', lambda path: read.append(path) or load(path)
    )
    monkeypatch.setattr(
        module, 'resample', lambda *given: drawn.append(given) or draw(*given)
    )
    [found] = compare_files(str(path), resamples=50)
    assert found.of_calibrator
    assert (len(read), len(drawn)) == (1, 2)
    save_result(path, raw, overwrite=True)
    with pytest.raises(ValueError, match='contains one model: name a second file'):
        compare_files(str(path))


def test_rows_of_one_file_alone_are_said_and_let_no_alarm_pass(files, tmp_path):
    [row], both = load_results(files[0]), str(tmp_path / 'both.json')
    save_result(both, [row, replace(row, dataset='night')])
    for pair in ((both, files[0]), (files[0], both)):
        with pytest.warns(UserWarning, match=r'not compared: .* on night$'):
            assert len(compare_files(*pair, resamples=20)) == 1
        with pytest.raises(ValueError, match=r'not compared: .* on night$'):
            compare_files(*pair, resamples=20, whole=True)
    assert len(compare_files(both, both, resamples=20, whole=True)) == 2


def test_what_compare_takes(files):
    [row] = load_results(files[0])
    for pair in ((row, row), (Measured(row, 20), Measured(row, 30))):
        with pytest.raises(ValueError, match=r'two Measured\(result\)'):
            compare(*pair)


def test_other_masks_of_some_images_are_refused_too(files, tmp_path):
    for name in ('3', '4'):
        path = tmp_path / 'masks' / f'{name}.png'
        mask = np.asarray(Image.open(path))
        Image.fromarray(255 - mask).save(path)
    for folder, end in (('over', 'npy'), ('masks', 'png')):
        (tmp_path / folder / f'0.{end}').unlink()
    fewer = evaluate_maps(tmp_path / 'over', tmp_path / 'masks', resamples=0)
    save_result(tmp_path / 'fewer.json', fewer)
    with pytest.raises(ValueError, match=r"2 images have other masks.* '3'"):
        compare_files(files[0], str(tmp_path / 'fewer.json'))
    elsewhere = replace(fewer, dataset='elsewhere')
    save_result(tmp_path / 'elsewhere.json', elsewhere)
    [found] = compare_files(files[0], str(tmp_path / 'elsewhere.json'), resamples=20)
    assert not found.paired


def test_other_ignored_pixels_are_no_pair():
    rng = np.random.default_rng(0)
    prob = rng.random((20, 3, 16, 16))
    prob /= prob.sum(1, keepdims=True)
    label = rng.integers(0, 3, (20, 16, 16)).astype(np.uint8)
    rows = []
    for ignored in (255, 0):
        evaluator = Evaluator(num_classes=3, ignore_index=ignored)
        for number in range(20):
            evaluator.add(str(number), prob[number], label[number])
        rows.append(Measured(evaluator.result(f'net{ignored}', 'x', resamples=0)))
    assert rows[0].measured_on != rows[1].measured_on
    with pytest.raises(ValueError, match='other ignored pixels'):
        by_images(rows)


@pytest.mark.parametrize('names', [['a/0.png', 'b/0.png'], ['x\\0.png', 'x\\1.png']])
@pytest.mark.usefixtures('plain_charts')
def test_the_json_of_a_page_is_of_the_same_images(names, tmp_path):
    given = [
        helper.renamed(each, [f'/data/{name}' for name in names])
        for each in helper.two_models(number=2)
    ]
    save_result(tmp_path / 'a.json', given[0])
    write_report(tmp_path / 'b.html', [given[1]])
    assert compare_files(tmp_path / 'a.json', tmp_path / 'b.report.json')[0].paired


def test_the_share_of_foreground_is_no_accuracy():
    one, other = (
        helper.result(name, gain=gain, mode='positive')
        for name, gain in (('A', 1.5), ('B', 2.0))
    )
    assert 'acc' not in compare(Measured(one, 20), Measured(other, 20)).metrics
    assert describe(one) == (
        f'A: the mean probability is {one.metrics["conf"]:.1%}, and '
        f'{one.metrics["acc"]:.1%} of the pixels are foreground.'
    )
    page = report_html([one], resamples=5)
    assert 'of 0.8 are foreground' in page
    assert 'foreground by probability' in page
    assert 'accuracy&nbsp;' not in page


def slices(gain, groups=None, patients=12, number=10):
    """A result of patients of equal slices, with noise that slices of one share."""
    rng = np.random.default_rng(0)
    evaluator = Evaluator()
    for patient in range(patients):
        logit = rng.normal(0, 2, (12, 12))
        label = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
        noise = np.random.default_rng(gain).normal(0, 1, (patients, 12, 12))[patient]
        prob = 1 / (1 + np.exp(-(logit + noise)))
        for place in range(number):
            evaluator.add(f'{patient:02d}_{place}', prob, label)
    return evaluator.result(f'net {gain}', 'x', resamples=100, groups=groups)


def test_patients_of_equal_slices_count_once():
    groups = np.repeat(np.arange(12), 10)
    by_images = [Measured(slices(seed), 100) for seed in (1, 2)]
    told = [Measured(slices(seed, groups), 100) for seed in (1, 2)]
    alone = [Measured(slices(seed, number=1), 100) for seed in (1, 2)]
    found, expected = compare(*told), compare(*alone)
    assert found.groups == (12, 12)
    assert found.units.text == '12 groups'
    naive = compare(*by_images)
    for key in ('ece', 'nll', 'brier'):
        assert found.metrics[key].error == pytest.approx(expected.metrics[key].error)
        assert naive.metrics[key].error < 0.4 * found.metrics[key].error
        # So are the intervals of a model alone.
        low, high = told[0].result.intervals[key]
        assert [low, high] == pytest.approx(alone[0].result.intervals[key])
    # One of two knows the groups of the same images.
    for pair in ((told[0], by_images[1]), (by_images[0], told[1])):
        assert compare(*pair) == found
    again = Measured(slices(2, groups=groups % 5), 100)
    with pytest.raises(ValueError, match='the images are grouped otherwise'):
        compare(told[0], again)
    # Numbers of groups are names: other ones tell the same.
    assert compare(told[0], Measured(slices(2, 40 - groups), 100)) == found


def test_groups_go_around_a_file(tmp_path):
    groups = np.repeat(np.arange(12), 10)
    path = str(tmp_path / 'r.json')
    save_result(path, [slices(1, groups), replace(slices(2, groups), model='B')])
    [row, _] = load_results(path)
    assert row.images.num_groups == 12
    assert row.settings['groups'] == 12
    [found] = compare_files(path, resamples=50)
    assert found.groups == (12, 12)
    [found] = compare_files(path, resamples=50, groups=lambda names: [0, 1] * 60)
    assert found.groups == (2, 2)
    assert found.needed >= 8
    with pytest.raises(ValueError, match='a number for each of 120 images'):
        compare_files(path, groups=lambda names: [0])
    for names_of in (lambda names: ['a', 'b'] * 60, lambda names: [0.2, 0.7] * 60):
        with pytest.raises(ValueError, match='groups must be whole numbers'):
            compare_files(path, groups=names_of)


def test_other_images_of_the_same_file_names_are_compared_unpaired():
    """As tonight's 0000.png, and that of the base."""
    base = Measured(helper.result('A', 'base', number=12), 50)
    tonight = Measured(helper.result('A', 'tonight', number=12, seed=1), 50)
    assert base.images.names == tonight.images.names
    found = compare(base, tonight)
    assert not found.paired
    assert found.images == (12, 12)
