"""What an evaluation refuses in the place of a wrong figure."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmaslp import Calibrator, fit_calibrator
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import Result, load_results, strict_json
from mmaslp.evaluation.verdict import describe
from mmaslp.metrics import ImageTable
from mmaslp.metrics.objects import MaskTable
from tests.evil import command


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


FIELDS = ('settings', 'images', 'images.bands', 'images.masks', 'measures', 'positive')


@pytest.mark.parametrize('path', FIELDS)
def test_a_list_in_the_place_of_an_object_is_named(path, tmp_path):
    file = tmp_path / 'r.json'
    file.write_text(json.dumps(damaged(result(), path, [1])))
    name = path.split('.')[-1]
    with pytest.raises(ValueError, match=rf'r\.json: .*\): {name} must be an object'):
        load_results(file)


def test_a_model_whose_name_would_clear_the_screen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content = json.dumps(damaged(result(), 'model', '\x1b[2J'))
    Path('a.json').write_text(content)
    assert command('compare', 'a.json', 'a.json', '--resamples', 20) == 0
    said = capsys.readouterr()
    assert '\x1b' not in said.out + said.err


PROB = np.random.default_rng(0).random((8, 16, 16))
LABEL = (PROB > 0.4).astype(np.uint8)


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


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda bins: merged(bins=bins), 5),
        (lambda mode: merged(mode=mode), 'positive'),
        (Evaluator().merge, 'abc'),
        (measured, [PROB[0], PROB[:3]]),
        (lambda copies: [same.merge(same) for same in copies], [Evaluator()]),
        (lambda name: Evaluator().add(name, PROB[0], LABEL[0]), 5),
        (lambda index: Evaluator(ignore_index=index), '255'),
        (calibrated_result, 'no'),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


def test_words_of_maps_do_not_speak_of_masks():
    figures = {'conf': 0.9, 'acc': 0.8}
    images = ImageTable.empty()
    result = Result(images, {}, figures, positive={'acc': 0.3}, model='x')
    assert 'as of masks' not in describe(result)


SMALL_PROB = np.random.default_rng(0).random((8, 4, 4))
SMALL_LABEL = (SMALL_PROB > 0.6).astype(np.uint8)


def half_calibrated():
    evaluator = Evaluator()
    evaluator.add('a', SMALL_PROB[0], SMALL_LABEL[0], SMALL_PROB[0])
    evaluator.add('b', SMALL_PROB[1], SMALL_LABEL[1])
    evaluator.result('net', 'set', calibrated=True)


HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
LABELS = (torch.rand(5, 16, 16) > 0.5).long()
LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]
BETTER = (LABELS + PROBS) / 2
OTHER = fit_calibrator(BETTER, LABELS)


def judging():
    """A calibrator that was fitted to maps of one channel."""
    return fit_calibrator(BETTER, LABELS)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (half_calibrated, '1 of 2 images'),
        (
            lambda: Evaluator().add(
                'a',
                PROBS[0],
                LABELS[0],
                PROBS[0],
                OTHER.scores(PROBS[1], LABELS[1] * 0),
            ),
            'of this map',
        ),
        (
            lambda: Evaluator().add('a', PROBS[0], LABELS[0], PROBS[0][:4]),
            '^calibrated: ',
        ),
        (
            lambda: Evaluator().add('a', PROBS[0], LABELS[0], estimates=MaskTable),
            'give calibrated too',
        ),
        (
            lambda: Evaluator().add(
                *('a', PROBS[0], LABELS[0], PROBS[0]),
                judging().scores(PROBS[0] / 2, LABELS[0]),
            ),
            'estimates must be what Calibrator.scores',
        ),
        (
            lambda: Evaluator().add(
                *('a', PROBS[0], LABELS[0], PROBS[0]),
                MaskTable.join([judging().scores(PROBS[0], LABELS[0])] * 2),
            ),
            'estimates must be what Calibrator.scores',
        ),
        (
            lambda: Evaluator().add('a', HALVING(PROBS[0]), LABELS[0]),
            'these maps are calibrated',
        ),
        (
            lambda: Evaluator().add(
                'a', HALVING(PROBS[0]), LABELS[0], calibrated=PROBS[0]
            ),
            'these maps are calibrated',
        ),
        (
            lambda: Evaluator().add('a', LAST[None], LABELS[None, ..., None]),
            'one image',
        ),
        (lambda: Evaluator(mode='positive', num_classes=3), 'of 3 classes'),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
