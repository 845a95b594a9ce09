"""What is looked at where it comes in: numbers of files, maps, names, arguments."""

import json
import math
import os
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from mmaslp import (
    Calibrator,
    ImageLevels,
    ObjectFreeWindows,
    SelfCalibratingBCE,
    dice_optimal_mask,
    fit_calibrator,
)
from mmaslp.augmentation.windows import find_window
from mmaslp.calibration.decisions import Decisions, Predictor
from mmaslp.calibration.features import DOMAIN_FEATURES
from mmaslp.common.bands import NUM_BANDS
from mmaslp.common.outputs import write_output
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import Result, load_results, strict_json
from mmaslp.files.images import read_binary_mask
from mmaslp.files.nnunet_maps import find_dataset
from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.functional import calibration_error
from mmaslp.integrations.mmseg.checkpoint import load_safely, safe_loading
from mmaslp.integrations.torchmetrics import BinaryCalibration
from mmaslp.losses import sc_bce
from mmaslp.training.sessions import CalibratorSession
from tests.hostile.evil import command, write_evil
from tests.map_folders import write_set

# ---- numbers of files ----

CALIBRATOR = Calibrator(
    'temperature',
    'single',
    'confidence',
    [([0, 10], [0, 5])],
    decisions=Decisions(
        objects=Predictor('logistic', [0.0, 0.0]),
        features=[[0.1] * len(DOMAIN_FEATURES)],
        expected=[0.5],
        dice=[0.5],
        area_errors=[0.0],
        accuracy_errors=[0.0],
        empty=[5, 2],
        cuts=[[0.0, 1.0, 0.0, 0.5]],
    ),
)


def result():
    evaluator = Evaluator()
    prob = np.random.default_rng(0).random((2, 20, 30))
    for name, values in zip('ab', prob):
        evaluator.add(name, values, (values > 0.4).astype(np.uint8))
    return json.loads(strict_json(evaluator.result('A', 'x', resamples=20).to_json()))


def damaged(content, path, value):
    """A file of the content, in which one value is another one."""
    *way, last = path.split('.')
    part = content
    for key in way:
        part = part[int(key) if isinstance(part, list) else key]
    part[int(last) if isinstance(part, list) else last] = value
    return content


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('maps.0.levels', [False, True]),
        ('maps.0.knots', ['0', '10']),
        ('record.axes', [3]),
        ('record.axes', True),
        ('decisions.area_errors.0', 1e9),
        ('decisions.area_errors.0', '0.1'),
        ('decisions.features.0.2', 7.0),
        ('decisions.features.0.6', 1e308),
        ('decisions.features.0.8', 1e300),
        ('decisions.features.0.2', '0.5'),
        ('decisions.dice.0', True),
        ('decisions.empty', [5.5, 2.2]),
        ('decisions.empty', [True, True]),
        ('decisions.empty', [1, 2]),
        ('decisions.cuts', []),
        ('decisions.objects.weights.0', True),
        ('decisions.objects.weights.0', math.inf),
        ('decisions.objects.weights', [0.0] * 3),
        ('decisions.objects.covariance', [[1.0, 5.0], [7.0, -1.0]]),
    ],
)
def test_a_calibrator_that_cannot_be(path, value):
    plain = json.loads(json.dumps(CALIBRATOR.to_dict()))
    assert Calibrator.from_dict(plain) == CALIBRATOR
    with pytest.raises(ValueError, match='not a calibrator'):
        Calibrator.from_dict(damaged(plain, path, value))


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('intervals.ece', [0.9, 0.1]),
        ('no_foreground', 'no'),
        ('files', 'abc'),
        ('measures', dict(mae=-5.0)),
        ('files', [{'name': 'a'}]),
        ('images.masks.dice.0', None),
        ('images.masks.expected.0', '0.5'),
        ('images.masks.foreground.0', True),
        ('images.masks.score.0', 1e308),
        ('images.conf.0.9', 0.0),
        ('dataset', None),
        ('model', ['net']),
    ],
)
def test_a_result_that_cannot_be(path, value):
    content = result()
    assert Result.from_json(content).num_images == 2
    with pytest.raises((KeyError, TypeError, ValueError)):
        Result.from_json(damaged(content, path, value))


def test_a_model_whose_name_would_clear_the_screen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content = json.dumps(damaged(result(), 'model', '\x1b[2J'))
    Path('a.json').write_text(content)
    assert command('compare', 'a.json', 'a.json', '--resamples', 20) == 0
    said = capsys.readouterr()
    assert '\x1b' not in said.out + said.err


# ---- arguments ----

PROB = np.random.default_rng(0).random((8, 16, 16))
LABEL = (PROB > 0.4).astype(np.uint8)
MASKED = np.ma.masked_array(PROB, PROB > 0.5)
VOLUMES = Calibrator(
    'identity', 'single', 'confidence', [([0, 1], [0, 1])], {'axes': 3}
)
IMAGES = Calibrator('identity', 'single', 'confidence', [([0, 1], [0, 1])], {'axes': 2})
MASK_MAPS = [dict(knots=[-1, 1], levels=[-1, 1])] * NUM_BANDS
LOGITS, ONES = torch.zeros(2, 1, 8, 8), torch.ones(2, 8, 8)


def measured(maps):
    evaluator = Evaluator()
    for number, prob in enumerate(maps):
        evaluator.add(str(number), prob, prob > 0.5)
    return evaluator.result('net', 'set', resamples=0)


def calibrated_result(flag):
    evaluator = Evaluator()
    evaluator.add('a', PROB[0], LABEL[0], PROB[1])
    evaluator.result('net', 'set', calibrated=flag, resamples=0)


def merged(**options):
    Evaluator().merge(Evaluator(**options))


def window(image):
    ObjectFreeWindows(prob=1.0, seed=0)(image, np.zeros((16, 16)))


def margin(weight):
    levels = ImageLevels(['a', 'b'])
    sample = levels.sample(['a', 'b'], 0)
    SelfCalibratingBCE(levels)(LOGITS, ONES, sample, margin_weight=weight)


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda prob: calibration_error(prob, LABEL), MASKED),
        (lambda prob: calibration_error(prob, LABEL), PROB + 1j),
        (lambda prob: fit_calibrator(prob, LABEL), MASKED),
        (dice_optimal_mask, MASKED[0]),
        (lambda prob: calibration_error(prob, LABEL), PROB.tolist()),
        (window, PROB[0].tolist()),
        (window, np.full((16, 16), 2**63 + 5, np.uint64)),
        (
            lambda prob: BinaryCalibration().update(prob, LABEL),
            np.where(PROB > 0.9, np.inf, PROB),
        ),
        (find_window, 'abc'),
        (VOLUMES, PROB[0]),
        (VOLUMES.masks, PROB[0]),
        (VOLUMES.masks, PROB[:, None]),
        (IMAGES.masks, PROB),
        (IMAGES, PROB[None, None]),
        (CALIBRATOR.compare_set, [1, 2]),
        (lambda network: fit_calibrator(PROB, LABEL, network=network), 'abc'),
        (CalibratorSession().load_state_dict, [1]),
        (lambda bins: merged(bins=bins), 5),
        (lambda mode: merged(mode=mode), 'positive'),
        (Evaluator().merge, 'abc'),
        (measured, [PROB[0], PROB[:3]]),
        (lambda copies: [same.merge(same) for same in copies], [Evaluator()]),
        (window, np.full((16, 16), 'a')),
        (window, PROB[0] + 1j),
        (window, torch.zeros(3, 16, 16, dtype=torch.complex64)),
        (lambda factor: SelfCalibratingBCE()(LOGITS, ONES, avg_factor=factor), 0),
        (margin, -1),
        (lambda prob: fit_calibrator(prob, LABEL), PROB[..., None]),
        (lambda prob: write_prob_map('x.png', prob), MASKED[0]),
        (lambda prob: write_prob_map('x.png', prob), PROB[0] + 1j),
        (lambda mask: ObjectFreeWindows(prob=1.0)(PROB[0], mask), None),
        (lambda name: Evaluator().add(name, PROB[0], LABEL[0]), 5),
        (lambda index: Evaluator(ignore_index=index), '255'),
        (lambda logits: MapReader(logits=logits), 'no'),
        (lambda channel: MapReader(channel=channel), 1.5),
        (lambda key: MapReader(key=key), 3),
        (lambda keys: CalibratorSession().update(PROB, LABEL, keys), [0.5] * 8),
        (lambda weight: SelfCalibratingBCE()(LOGITS, ONES, pixel_weight=weight), 'x'),
        (lambda target: sc_bce(LOGITS, target), None),
        (IMAGES.save, None),
        (lambda logger: CalibratorSession(logger=logger), 'tensorboard'),
        (lambda logger: ImageLevels(['a'], logger=logger), 'tensorboard'),
        (lambda label: fit_calibrator(PROB, label), 5),
        (lambda names: ImageLevels(['a']).sample(names, 0), None),
        (calibrated_result, 'no'),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


def test_scores_of_a_mask_of_0_and_255(recwarn):
    plain = CALIBRATOR.to_dict()
    judging = Calibrator.from_dict(plain | dict(mask_maps=MASK_MAPS))
    judging.scores(PROB[0], LABEL[0])
    assert not recwarn.list
    with pytest.warns(UserWarning, match='divide a mask of 0 and 255'):
        judging.scores(PROB[0], LABEL[0] * np.uint8(255))


def test_slices_and_batches_are_no_other_kind():
    assert VOLUMES(PROB).shape == IMAGES(PROB).shape == PROB.shape
    assert VOLUMES(PROB[None, None]).ndim == 5
    assert IMAGES.masks(PROB[:1]).shape == (1, 16, 16)
    assert VOLUMES.masks(PROB).shape == PROB.shape


# ---- images ----


def script(path):
    path.write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n')


def turned(path):
    image = Image.open(path)
    image.load()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


@pytest.mark.parametrize('attack', [script, turned], ids=lambda each: each.__name__)
@pytest.mark.parametrize('kind', ['maps', 'masks'])
def test_an_image_of_another_kind(tmp_path, monkeypatch, capsys, kind, attack):
    """No program such as Ghostscript is run, and nothing lies otherwise than shown."""
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 2)
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'gs').write_text(f'#!/bin/sh\nmkdir {tmp_path}/hit\n')
    (tmp_path / 'bin' / 'gs').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}/bin:{os.environ["PATH"]}')
    monkeypatch.setattr('PIL.EpsImagePlugin.gs_binary', None)
    attack(tmp_path / kind / '000.png')
    assert command('eval-maps', 'maps', 'masks') == 2
    assert f'{kind}/000.png' in capsys.readouterr().err
    assert not (tmp_path / 'hit').exists()


def test_a_mask_of_0_and_less(tmp_path):
    Image.fromarray(-np.eye(9, dtype=np.int32)).save(tmp_path / 'x.tif')
    with pytest.raises(ValueError, match=r'x\.tif'):
        read_binary_mask(tmp_path / 'x.tif')


# ---- names and outputs ----


@pytest.mark.parametrize('key', ['file', 'allow_pickle', 'é'])
def test_any_array_of_npz_is_calibrated(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    Path('maps').mkdir()
    CALIBRATOR.save('c.json')
    np.savez('maps/a.npz', values=PROB[0])
    os.rename('maps/a.npz', 'a.zip')
    shutil.unpack_archive('a.zip', 'a')
    os.makedirs(Path('b', key).parent)
    os.rename('a/values.npy', f'b/{key}.npy')
    shutil.make_archive('b', 'zip', 'b')
    os.rename('b.zip', 'maps/a.npz')
    assert command('apply', 'c.json', 'maps', '--out', 'out') == 0
    with np.load('out/a.npz') as found:
        np.testing.assert_array_equal(found[key], CALIBRATOR(PROB[0]))


@pytest.mark.parametrize('name', ['a\nb', ' a', 'a\u2028b', '\ufeffa', '\udcff'])
def test_a_name_that_no_list_can_hold(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 5)
    os.mkdir('set')
    for kind, folder in (('maps', 'images'), ('masks', 'masks')):
        os.rename(kind, f'set/{folder}')
        os.rename(f'set/{folder}/000.png', f'set/{folder}/{name}.png')
    assert command('prepare', 'set') == 2
    assert 'rename it' in capsys.readouterr().err
    assert sorted(os.listdir('set')) == ['images', 'masks']


@pytest.mark.parametrize('kind', ['link', 'old list'])
def test_a_division_that_would_cost_something(tmp_path, monkeypatch, capsys, kind):
    """A list that is a link to a mask; a list that shares images with the new ones."""
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 9)
    os.mkdir('set')
    os.rename('maps', 'set/images')
    os.rename('masks', 'set/masks')
    mask = Path('set/masks/000.png').read_bytes()
    words = ('prepare', 'set', '--overwrite')
    if kind == 'link':
        Path('set/train.txt').symlink_to('masks/000.png')
    else:
        assert command(*words) == 0
        words += ('--test-ratio', 0)
    assert command(*words) == 2
    assert 'set/' in capsys.readouterr().err
    assert Path('set/masks/000.png').read_bytes() == mask


@pytest.mark.parametrize(
    ('file', 'content'),
    [
        ('dataset.json', '{"labels": {"background": 0, "t": 1.7}}'),
        ('dataset.json', '{"labels": {"background": 0, "t": 1e400}}'),
        ('dataset.json', '{"labels": {"background": 0, "t": 1, "ignore": "x"}}'),
        ('dataset.json', '{"labels": {"background": 0, "t": 1, "ignore": 1}}'),
        ('dataset.json', '{"labels": {"t": 1, "u": 2}}'),
        ('dataset.json', '{"labels": {"0": "background", "1": "t"}}'),  # of version 1
        ('plans.json', '{"transpose_forward": [7, 0, 1]}'),
        ('plans.json', '{"transpose_forward": [-1, 0, 1]}'),
        ('plans.json', '{"transpose_forward": []}'),
        ('plans.json', '[]'),
    ],
)
def test_a_description_of_nnunet(tmp_path, file, content):
    (tmp_path / 'dataset.json').write_text('{"labels": {"background": 0, "t": 1}}')
    assert find_dataset(tmp_path).channels == {'background': (0,), 't': (1,)}
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=file):
        find_dataset(tmp_path)


@pytest.mark.parametrize('read', [Calibrator.load, load_results, read_binary_mask])
def test_a_disk_that_fails(tmp_path, read):
    (tmp_path / 'x.json').symlink_to('/proc/self/mem')
    with pytest.raises(OSError, match=r'x\.json'):
        read(tmp_path / 'x.json')


def test_a_pipe_that_nobody_reads(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(OSError, match='pipe'):
        write_output(tmp_path / 'pipe', 'text')
    reader = os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK)
    write_output(tmp_path / 'pipe', 'text')
    assert os.read(reader, 9) == b'text'
    os.close(reader)


# ---- a checkpoint of a URL ----


@pytest.mark.parametrize('place', ['load_from', 'pretrained'])
def test_a_checkpoint_that_is_fetched(tmp_path, monkeypatch, place):
    """It is read as one of the disk is."""
    from mmengine.runner import CheckpointLoader

    write_evil(tmp_path / 'x.pth', tmp_path / 'hit')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(
        'torch.hub.download_url_to_file',
        lambda url, to, *rest, **options: shutil.copy(tmp_path / 'x.pth', to),
    )
    scheme = {
        'load_from': 'https://x.org/x.pth',
        'pretrained': 'torchvision://resnet18',
    }
    with safe_loading(), pytest.raises(ValueError, match=r'posix\.mkdir'):
        CheckpointLoader.load_checkpoint(scheme[place], 'cpu')
    assert not (tmp_path / 'hit').exists()


def test_a_checkpoint_that_cannot_be_fetched():
    def refuse(*words, **options):
        raise URLError('no such host')

    with pytest.raises(ValueError, match=r'x\.pth is damaged, or cannot be fetched \('):
        load_safely('https://x.org/x.pth', read=refuse)
