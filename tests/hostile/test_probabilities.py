"""Probabilities stay what they are, and nothing of them is dropped without a word."""

import io
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from mmaslp import (
    BandLevels,
    BandTable,
    CalibrationHistogram,
    Calibrator,
    SelfCalibratingBCE,
    dice_optimal_mask,
    fit_calibrator,
)
from mmaslp.augmentation.windows import ObjectFreeWindows
from mmaslp.calibration.decisions import Decisions
from mmaslp.calibration.features import DOMAIN_FEATURES
from mmaslp.commands import main
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import Result
from mmaslp.evaluation.verdict import describe
from mmaslp.files.calibrated_maps import apply_calibrator
from mmaslp.files.datasets import prepare_dataset
from mmaslp.files.images import read_binary_mask
from mmaslp.files.map_pairs import pair_files
from mmaslp.files.prob_maps import MapReader, quantised, write_prob_map
from mmaslp.losses import targets
from mmaslp.metrics import ImageTable
from mmaslp.training.sessions import CalibratorSession
from tests.map_folders import write_set

HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
VOLUME = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize('bits', [8, 16])
def test_a_written_probability_keeps_its_side(tmp_path, bits):
    prob = np.array([[0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0), 0, 1]])
    write_prob_map(tmp_path / 'x.png', prob, bits)
    read = MapReader().read(tmp_path / 'x.png')
    assert ((read > 0.5) == (prob > 0.5)).all()
    assert np.abs(read - prob).max() <= 0.5 / (2**bits - 1) + 1e-7


def test_other_values_are_rounded_to_the_nearest():
    prob = np.random.default_rng(0).random(10**4)
    assert np.array_equal(quantised(prob), np.rint(prob * 65535))


@pytest.mark.parametrize('suffix', ['npy', 'NPY', 'npz', 'NPZ'])
@pytest.mark.parametrize('shape', [(8, 8), (1, 8, 8)])
def test_an_array_comes_back_in_its_form(tmp_path, suffix, shape):
    maps, out = tmp_path / 'maps', tmp_path / 'out'
    maps.mkdir()
    prob, other = VOLUME[0].reshape(shape), np.arange(3)
    buffer = io.BytesIO()
    if suffix.lower() == 'npy':
        np.save(buffer, prob)
    else:
        np.savez(buffer, prob=prob, other=other)
    (maps / f'x.{suffix}').write_bytes(buffer.getvalue())
    reader = MapReader(key='prob' if suffix.lower() == 'npz' else None)
    apply_calibrator(HALVING, maps, out, reader=reader)
    found = np.load(io.BytesIO((out / f'x.{suffix}').read_bytes()))
    if suffix.lower() == 'npz':
        assert found.files == ['prob']
        found = found['prob']
    assert found.shape == shape
    np.testing.assert_array_equal(found, HALVING(prob))


def test_per_cent_in_an_npz(tmp_path):
    maps = tmp_path / 'maps'
    maps.mkdir()
    softmax = np.stack([1 - VOLUME, VOLUME]) * 100
    np.savez(maps / 'x.npz', probabilities=softmax)
    reader = MapReader(max_value=100)
    np.testing.assert_allclose(reader.read(maps / 'x.npz'), VOLUME, rtol=1e-6)
    apply_calibrator(HALVING, maps, tmp_path / 'out', reader=reader)
    found = np.load(tmp_path / 'out' / 'x.npz')['probabilities']
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(found[1], HALVING(VOLUME), atol=1e-6)


def test_a_volume_has_one_threshold(tmp_path):
    maps = tmp_path / 'maps'
    maps.mkdir()
    prob = VOLUME * np.array([0.2, 0.6, 1.0], np.float32)[:, None, None]
    np.savez(maps / 'x.npz', probabilities=np.stack([1 - prob, prob]))
    apply_calibrator(HALVING, maps, tmp_path / 'out', masks='dice')
    written = np.load(tmp_path / 'out_masks' / 'x.npy') > 0
    whole = dice_optimal_mask(HALVING(prob)[None, None])[0, 0]
    apart = np.stack([dice_optimal_mask(HALVING(each)) for each in prob])
    assert np.array_equal(written, whole)
    assert np.array_equal(HALVING.masks(prob), whole)
    assert not np.array_equal(whole, apart)


def test_a_second_map_of_a_name_is_an_error(tmp_path):
    maps, masks = tmp_path / 'maps', tmp_path / 'masks'
    maps.mkdir()
    masks.mkdir()
    np.savez(maps / 'x.npz', VOLUME[0])
    np.save(maps / 'x.npy', VOLUME[0])
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(masks / 'x.png')
    _, problems = pair_files(maps, masks)
    assert 'the same name as x.npy' in problems[0]


def object_in_alpha(path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 2:6, 3] = 255
    Image.fromarray(pixels).save(path)


def object_in_transparent_palette(path):
    image = Image.fromarray(np.eye(8, dtype=np.uint8), 'P')
    image.putpalette([0, 0, 0] * 256)
    image.save(path, transparency=0)


def two_frames(path):
    frames = [Image.new('L', (8, 8), grey) for grey in (0, 255)]
    frames[0].save(path, 'TIFF', save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ('write', 'said'),
    [
        (object_in_alpha, 'transparent'),
        (object_in_transparent_palette, 'transparent'),
        (two_frames, 'has 2 frames'),
    ],
)
@pytest.mark.filterwarnings('ignore:.*mode.*:DeprecationWarning')
def test_a_mask_whose_object_would_be_overlooked(tmp_path, write, said):
    write(tmp_path / 'x.png')
    with pytest.raises(ValueError, match=said):
        read_binary_mask(tmp_path / 'x.png')


def test_masks_in_the_place_of_maps_are_said(tmp_path, capsys):
    maps, masks = write_set(tmp_path, 4)
    again = tmp_path / 'again'
    os.rename(maps, again)
    for path in again.iterdir():  # maps that pass for masks
        Image.open(masks / path.name).save(path)
    assert main(['eval-maps', str(masks), str(again)]) == 0
    assert 'All probabilities are 0 or 1, as of masks' in capsys.readouterr().out


def test_words_of_maps_do_not_speak_of_masks():
    figures = {'conf': 0.9, 'acc': 0.8}
    images = ImageTable.empty()
    result = Result(images, {}, figures, positive={'acc': 0.3}, model='x')
    assert 'as of masks' not in describe(result)


def test_an_image_whose_name_holds_a_suffix_is_in_one_part(tmp_path):
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
        for k, stem in enumerate(['a', 'a.png', *'bcdefgh']):
            suffix = 'jpg' if kind == 'images' else 'png'
            grey = np.full((4, 4), k, np.uint8) if kind == 'images' else np.eye(4)
            picture = Image.fromarray((grey > 0).astype(np.uint8) * 255)
            picture.save(tmp_path / kind / f'{stem}.{suffix}')
    parts = prepare_dataset(str(tmp_path)).parts
    from mmaslp.files.datasets import keep_listed, list_stems

    images = list_stems(str(tmp_path / 'images'))
    found = [
        name
        for part in parts
        for name in keep_listed(images, str(tmp_path / f'{part}.txt'), 'x').values()
    ]
    assert sorted(found) == sorted(images.values())


def test_a_batch_of_a_loader_is_as_many_images():
    rng = np.random.default_rng(0)
    prob = torch.from_numpy(rng.random((12, 1, 8, 8)))
    label = torch.from_numpy(rng.random((12, 8, 8)) < 0.5).long()
    expected = fit_calibrator(prob, label)
    for maps in (prob, prob[:, 0]):
        loader = DataLoader(TensorDataset(maps, label), batch_size=5)
        assert fit_calibrator(loader) == expected
    batches = [(prob[k : k + 4], label[k : k + 4]) for k in (0, 4, 8)]
    assert fit_calibrator(batches) == expected
    with pytest.raises(ValueError, match='a batch holds 4 maps but 3 masks'):
        fit_calibrator([(prob[:4], label[:3])] * 3)


def test_levels_that_nobody_moves_are_said_once(recwarn, monkeypatch):
    monkeypatch.setattr(targets, 'MANY_BATCHES', 250)
    criterion = SelfCalibratingBCE(BandLevels())
    logit, label = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.ones(1, 4, 4)
    for _ in range(249):
        criterion(logit, label)
    assert not recwarn.list
    for _ in range(300):
        criterion(logit, label)
    assert ['observe(...)' in str(each.message) for each in recwarn.list] == [True]


def test_levels_of_a_toolkit_may_wait(recwarn):
    levels = BandLevels()
    levels.expect_validations()
    criterion = SelfCalibratingBCE(levels)
    logit, label = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.ones(1, 4, 4)
    for _ in range(600):
        criterion(logit, label)
    assert not recwarn.list


def observed():
    table, label = BandTable(), torch.zeros(32, 32)
    label[:, 16:] = 1
    table.update(0.1 + 0.8 * label, label)
    levels = BandLevels()
    levels.observe(table)
    return levels.state_dict()


MEASURED = dict(gaps=[0.1] * 5, shares=[0.2] * 5, iou=0.5, acc=0.9)


@pytest.mark.parametrize(
    'damage',
    [
        dict(recent=None),
        dict(recent=[3]),
        dict(recent=[{**MEASURED, 'gaps': [0.1] * 4}]),
        dict(recent=[{**MEASURED, 'gaps': None}]),
        dict(recent=[{**MEASURED, 'shares': [0.1] * 3}]),
        dict(recent=[{**MEASURED, 'iou': 'x'}]),
        dict(recent=[dict(gaps=[0.1] * 5)]),
        dict(recent=[{**MEASURED, 'gaps': [9.0] * 5}]),
        dict(recent=[{**MEASURED, 'shares': [-0.2] * 5}]),
        dict(recent=[{**MEASURED, 'acc': 7.0}]),
        dict(best=dict(iou=7.0, iou_se=0.1, acc=0.5, acc_se=0.1)),
        dict(best=dict(iou=0.5, iou_se=-7.0, acc=0.5, acc_se=0.1)),
        dict(held=3),
        dict(best=dict(iou='x', iou_se=0.1, acc=0.5, acc_se=0.1)),
    ],
)
def test_a_damaged_state_of_levels_is_refused_when_it_is_loaded(damage):
    levels = BandLevels()
    with pytest.raises(ValueError, match='is damaged'):
        levels.load_state_dict({**observed(), **damage})
    assert not levels.validations


def test_equal_calibrators_are_equal():
    again = Calibrator.from_dict(HALVING.to_dict())
    assert again == HALVING
    assert again != Calibrator('identity', 'single', 'confidence', HALVING.maps)
    assert HALVING != 3


def test_a_pixel_of_each_image_has_a_loss():
    logit, label = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logit, label, reduction='none'
    )
    torch.testing.assert_close(SelfCalibratingBCE()(logit, label), expected.mean())
    found = SelfCalibratingBCE(reduction='none')(logit, label)
    torch.testing.assert_close(found, expected)


def test_maps_may_be_written_here(tmp_path, monkeypatch):
    write_prob_map(tmp_path / 'maps' / 'a.png', VOLUME[0])
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    apply_calibrator(HALVING, tmp_path / 'maps', '.', masks='keep')
    assert [path.name for path in Path('.').iterdir()] == ['a.png']
    assert (tmp_path / 'here_masks' / 'a.png').is_file()


ONE = Calibrator('identity', 'single', 'confidence', [([0, 1], [0, 1])])
PROB = np.random.default_rng(0).random((8, 4, 4))
LABEL = (PROB > 0.6).astype(np.uint8)
KEYS = torch.arange(8) // 2


def state_of_floats():
    histogram = CalibrationHistogram()
    histogram.update(PROB, LABEL)
    state = histogram.state_dict()
    histogram.load_state_dict({**state, 'counts': state['counts'] + 0.5})


def half_calibrated():
    evaluator = Evaluator()
    evaluator.add('a', PROB[0], LABEL[0], PROB[0])
    evaluator.add('b', PROB[1], LABEL[1])
    evaluator.result('net', 'set', calibrated=True)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda: ONE.masks(PROB[0], logits='no'), 'logits must be'),
        (lambda: ONE.wrap(torch.nn.Identity(), with_raw='no'), 'with_raw must be'),
        (lambda: ONE.scores(PROB[0], LABEL[0] * 7), 'label holds 7'),
        (lambda: ONE.scores(PROB[0], LABEL[0].reshape(2, 8)), 'they must have one'),
        (lambda: fit_calibrator(PROB, LABEL, groups=KEYS), '8 images of 4 groups'),
        (lambda: fit_calibrator(PROB, LABEL, groups=[*KEYS]), '8 images of 4 groups'),
        (lambda: fit_calibrator(PROB, LABEL, groups=KEYS / 0), 'groups must be'),
        (lambda: Decisions().least_probability(keep_real=2), 'keep_real must be'),
        (
            lambda: CalibratorSession().update(*map(torch.tensor, (PROB, LABEL[:3]))),
            'as many labels',
        ),
        (
            lambda: ObjectFreeWindows().batch(
                torch.zeros(2, 4, 4), torch.zeros(1, 4, 4)
            ),
            'as many images as masks',
        ),
        (
            lambda: ObjectFreeWindows().batch(torch.zeros(0, 3, 4, 4), torch.zeros(0)),
            'at least one',
        ),
        (lambda: Decisions().least_probability(max_false=np.nan), 'max_false must'),
        (state_of_floats, 'is broken'),
        (lambda: ONE.save('x.json', overwrite='no'), 'overwrite must be'),
        (lambda: ObjectFreeWindows(seed=-1), 'seed must be'),
        (
            lambda: SelfCalibratingBCE()(torch.zeros(KEYS.shape), KEYS, reduction='x'),
            'reduction must be',
        ),
        (half_calibrated, '1 of 2 images'),
    ],
)
def test_calls_that_would_answer_something_else(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_calibrator_behind_a_link_is_no_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 1)
    ONE.save('c.json')
    Path('out').mkdir()
    Path('out/000.png').symlink_to(Path('c.json').resolve())
    assert main(['apply', 'c.json', 'maps', '--out', 'out', '--overwrite']) == 2
    assert 'is an input' in capsys.readouterr().err
    assert Calibrator.load('c.json') == ONE


@pytest.mark.parametrize(
    'damage',
    [
        dict(expected=[7.0]),
        dict(dice=[-1.0]),
        dict(accuracy_errors=[50.0]),
        dict(features=[[float('nan')] * len(DOMAIN_FEATURES)]),
        dict(cuts=[[0.0, 3.0, 0.0, 0.5]]),
        dict(relative='no'),
        dict(image=dict(name='regression', weights=[0.0], edge=2.0)),
    ],
)
def test_damaged_decisions_are_refused(damage):
    plain = Decisions(
        features=[[0.1] * len(DOMAIN_FEATURES)],
        expected=[0.5],
        dice=[0.5],
        area_errors=[0.0],
        accuracy_errors=[0.0],
    )
    plain = asdict(plain)
    assert asdict(Decisions.from_dict(plain)) == plain
    with pytest.raises(ValueError, match='decisions'):
        Decisions.from_dict({**plain, **damage})
