"""Applying, wrapping and keeping a calibrator."""

import json
import os
import subprocess
import sys
import warnings
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.calibration.curves import LIMIT
from mmaslp.common.bands import border_bands
from tests.test_calibration.samples import maps

TARGETS = ('confidence', 'probability')


def halving(target='confidence', by='single'):
    """A temperature of 2, by band 1 to 5."""
    size = 1 if by == 'single' else 5
    start = 0.0 if target == 'confidence' else -LIMIT
    knots = np.array([start, LIMIT])
    scale = [0.5] if by == 'single' else 1 / np.arange(1.0, 6.0)
    return Calibrator(
        'temperature', by, target, [(knots, knots * scale[k]) for k in range(size)]
    )


def test_a_calibrator_shows_its_kind():
    shown = repr(halving('confidence', 'band'))
    assert shown == ("Calibrator(method='temperature', by='band', target='confidence')")


def test_what_is_calibrated_is_not_calibrated_again():
    calibrator = halving()
    found = calibrator(torch.rand(2, 1, 8, 8))
    with pytest.raises(ValueError, match='these maps are calibrated'):
        calibrator(found)
    for unknown in (found[0], found.numpy(), found - found):  # and says nothing
        calibrator(unknown)
    for call in (calibrator.masks, partial(calibrator.masks, choice='keep')):
        with pytest.raises(ValueError, match='these maps are calibrated'):
            call(found)
    with pytest.raises(ValueError, match='these maps are calibrated'):
        calibrator.scores(calibrator(torch.rand(8, 8)), torch.ones(8, 8))


@pytest.mark.parametrize('by', ['single', 'band'])
def test_masks_of_probabilities_are_those_of_their_maps(by):
    prob, label = maps(20)
    calibrator = fit_calibrator(prob, label, by=by, target='probability')
    expected = calibrator(prob) > 0.5
    assert np.array_equal(calibrator.masks(prob[:, None], 'accuracy')[:, 0], expected)


def test_raw_logits_beside_calibrated_ones_are_raw():
    calibrator = halving()
    logits = torch.randn(2, 1, 8, 8)
    raw, found = calibrator.wrap(nn.Identity(), with_raw=True)(logits)
    for view in (logits, raw, raw[0], logits[:, 0]):
        calibrator.logits(view)
    with pytest.raises(ValueError, match='these maps are calibrated'):
        calibrator.logits(found)


def test_background_and_foreground_of_one_image_are_one_map():
    with pytest.raises(ValueError, match='foreground alone'):
        halving('probability')(torch.randn(2, 8, 8).softmax(0))


def test_classes_of_a_softmax_are_no_binary_maps():
    prob, label = maps(12)
    one = fit_calibrator(prob, label, method='platt')
    classes = torch.randn(4, 3, 16, 16).softmax(1)
    with pytest.raises(ValueError, match='foreground alone'):
        one(classes)
    with pytest.raises(ValueError, match='foreground alone'):
        one(classes[0])
    assert one(torch.rand(4, 3, 16, 16)).shape == classes.shape
    several = [np.stack([each] * 3, 1) for each in (prob, label)]
    assert fit_calibrator(*several)(classes).shape == classes.shape


def test_what_was_fitted_to_channels_wraps_channels():
    prob, label = (values.reshape(6, 2, *values.shape[1:]) for values in maps(12))
    channels = fit_calibrator(prob, label, method='platt', by='single')
    logit = torch.from_numpy(prob).logit()
    expected = channels.logits(logit)
    torch.testing.assert_close(channels.wrap(nn.Identity())(logit), expected)

    assert channels.masks(prob[:1]).shape == prob[:1].shape
    with pytest.raises(ValueError, match=r'a mask of its own: give \(1, C, H, W\)'):
        channels.masks(prob[0])


@pytest.mark.parametrize('target', TARGETS)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_apply_by_band(target, dtype):
    prob = torch.from_numpy(maps(3)[0]).to(dtype)
    logit = prob.logit()
    bands = border_bands(prob > 0.5)
    expected = torch.sigmoid(logit.clamp(-LIMIT, LIMIT) / (bands + 1))
    found = halving(target, 'band')(prob)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, atol=3e-5, rtol=0)
    found = halving(target, 'band').logits(logit)
    expected = logit.clamp(-LIMIT, LIMIT) / (bands + 1)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize('by', ['single', 'band'])
@pytest.mark.parametrize('method', ['temperature', 'platt', 'isotonic'])
def test_saturated_logits_count_as_their_probabilities(method, by):
    prob, label = maps(20)
    calibrator = fit_calibrator(prob, label, by=by, method=method)
    logit = torch.from_numpy(prob).double().logit() * 10
    logit[0, 0, :3] = torch.tensor([-40.0, 25.0, 1e30])
    expected = calibrator(logit.sigmoid())
    for found in (calibrator.logits(logit), calibrator.wrap(nn.Identity())(logit)):
        torch.testing.assert_close(found.sigmoid(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    'shape', [(48, 48), (4, 48, 48), (4, 1, 48, 48), (2, 2, 48, 48)]
)
def test_kinds_and_shapes(shape):
    prob = maps(4)[0][: np.prod(shape[:-2], dtype=int)].reshape(shape)
    calibrator = halving(by='band')
    found = calibrator(prob)
    assert isinstance(found, np.ndarray)
    assert found.shape == shape
    assert found.dtype == np.float32
    assert found is not prob
    assert np.shares_memory(found, prob) is False
    tensor = calibrator(torch.from_numpy(prob))
    assert torch.equal(tensor, torch.from_numpy(found))
    turned = torch.from_numpy(prob).mT
    assert torch.equal(calibrator(turned), calibrator(turned.contiguous()))
    one_by_one = [calibrator(each) for each in prob.reshape(-1, 48, 48)]
    assert np.array_equal(np.stack(one_by_one).reshape(shape), found)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('method', ['temperature', 'platt', 'isotonic'])
def test_confidence_keeps_every_decision_and_the_order(method, dtype):
    prob, label = maps(20)
    calibrator = fit_calibrator(prob, label, by='single', method=method)
    half = np.array(0.5, dtype)
    near = [np.nextafter(half, dtype(0)), half, np.nextafter(half, dtype(1))]
    steps = np.concatenate([[0, 1e-9], np.linspace(0.001, 0.999, 509), [1], *[near]])
    prob = np.sort(steps).astype(dtype).reshape(1, -1)
    found = calibrator(prob)
    assert np.array_equal(found > 0.5, prob > 0.5)
    assert (np.diff(found[0, 2:-2].astype(np.float64)) > 0).mean() > 0.99
    assert (np.diff(found[0]) >= 0).all()


def test_wrapped_heads_agree():
    logit = torch.from_numpy(maps(2)[0]).logit()
    calibrator = halving(by='band')
    module = calibrator.wrap(nn.Identity())
    expected = calibrator.logits(logit)
    assert torch.equal(module(logit), expected)
    assert torch.equal(module(logit[:, None])[:, 0], expected)
    both = module(torch.stack([3 - logit / 2, 3 + logit / 2], 1))
    torch.testing.assert_close(both[:, 1] - both[:, 0], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(both.mean(1), torch.full_like(logit, 3.0))
    channels = calibrator.wrap(nn.Identity(), independent=True)(logit[None])
    assert torch.equal(channels[0], expected)


@pytest.mark.parametrize('by', ['single', 'band'])
@pytest.mark.parametrize('shape', [(0, 64), (64, 0), (0, 64, 64)])
def test_no_pixels_stay_none(by, shape):
    calibrator = halving(by=by)
    assert calibrator(np.zeros(shape, np.float32)).shape == shape


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_masks_of_half_precision_stay(dtype):
    logit = torch.linspace(-4, 4, 4096, dtype=dtype).view(1, 64, 64)
    knots = [0, 3, 10], [1e-4, 2e-4, 5]  # it is often wrong below a logit of 3
    module = Calibrator('platt', 'single', 'confidence', [knots]).wrap(nn.Identity())
    assert torch.equal(module(logit).sigmoid() > 0.5, logit > 0)
    both = torch.stack([3 - logit / 2, 3 + logit / 2], 1)
    calibrated = module(both)
    assert torch.equal(calibrated.argmax(1), both.argmax(1))
    assert torch.equal(calibrated.softmax(1)[:, 1] > 0.5, both.diff(dim=1)[:, 0] > 0)
    assert module(logit.double()).dtype == torch.float64


def test_save_and_load(tmp_path):
    prob, label = maps(20)
    calibrator = fit_calibrator(prob, label)
    calibrator.save(tmp_path / 'cal.json')
    loaded = Calibrator.load(tmp_path / 'cal.json')
    assert np.array_equal(loaded(prob), calibrator(prob))
    assert loaded.summary() == calibrator.summary()
    calibrator.to_dict()['record'].clear()
    assert loaded == calibrator
    assert [file.name for file in tmp_path.iterdir()] == ['cal.json']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(version=2), 'version'),
        (dict(target='both'), 'target'),
        (dict(curves=[]), 'curves'),
        (
            dict(curves=[dict(knots=[0, 1], values=[0, float('nan')])]),
            'NaN is no number',
        ),
        (dict(curves=[dict(knots=[1, 0], values=[0, 1])]), 'ascend'),
        (dict(curves=[dict(knots=[0, 1e9], values=[0, 1])]), 'curves must be'),
        (dict(curves='x'), 'not a calibrator'),
        (dict(record=dict(images='many')), 'images must be an integer'),
    ],
)
def test_edited_files_are_refused(tmp_path, change, message):
    file = tmp_path / 'cal.json'
    halving().save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ValueError, match=message):
        Calibrator.load(file)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"temperature": 2.0, "maps": "x"}', "lacks 'format'.*fit it again with"),
        ('[1]', 'not a calibrator'),
        ('[' * 100000, 'not a calibrator'),
        (' ' * 2**20 + '1', 'bytes'),
        ('x', 'not a calibrator'),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    file = tmp_path / 'cal.json'
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        Calibrator.load(file)


def test_another_network_than_that_of_the_fit_is_told(tmp_path):
    prob, label = maps(20)
    network = nn.Conv2d(1, 1, 1)
    calibrator = fit_calibrator(prob, label, network=network)
    calibrator.save(tmp_path / 'c.json')
    calibrator = Calibrator.load(tmp_path / 'c.json')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        calibrator.wrap(network)
        calibrator.wrap(nn.Identity())
        fit_calibrator(prob, label).wrap(network)
    with pytest.warns(UserWarning, match='a network of other weights'):
        calibrator.wrap(nn.Conv2d(1, 1, 1))


APPLY = """
import sys
import numpy as np
from mmaslp import Calibrator
calibrator = Calibrator.load(sys.argv[1])
prob = np.full((32, 32), 0.9)
calibrator(prob), calibrator.masks(prob), calibrator.judge(prob)
import mmaslp.workflows.apply, mmaslp.workflows.measure
odd = [name for name in sys.modules if '.fitting' in name or 'scipy.opt' in name]
assert not odd, odd
"""


def test_applying_and_measuring_import_nothing_that_fits(tmp_path):
    file = tmp_path / 'cal.json'
    fit_calibrator(*maps(20)).save(file)
    subprocess.run([sys.executable, '-c', APPLY, str(file)], check=True)


def test_a_file_of_version_0_5_says_to_fit_again(tmp_path):
    content = halving().to_dict() | {'version': 1}
    file = tmp_path / 'old.json'
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'its version is 1.*fit it again with `mmas'):
        Calibrator.load(file)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='there are no pipes')
def test_a_pipe_is_no_calibrator(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ValueError, match='not a file'):
        Calibrator.load(tmp_path / 'pipe')


def test_images_and_volumes_have_calibrators_of_their_own():
    prob, label = maps(12)
    images = fit_calibrator(prob, label)
    slabs = prob.reshape(6, 2, *prob.shape[-2:]), label.reshape(6, 2, *prob.shape[-2:])
    volumes = fit_calibrator(*(list(slab) for slab in slabs))
    images.judge(prob[0])
    images.judge(prob[:1])  # a volume of one slice is an image
    volumes.judge(prob[:2])
    assert len(volumes.judge_batch(prob[:2].reshape(2, 1, 1, *prob.shape[-2:]))) == 2
    with pytest.raises(ValueError, match='two logits, go to judge_batch'):
        images.judge(prob[:2])
    with pytest.raises(ValueError, match='fitted to volumes, and not to images'):
        volumes.judge(prob[0])
    with pytest.raises(ValueError, match='images and volumes are mixed'):
        fit_calibrator([*slabs[0], prob[0]], [*slabs[1], label[0]])


def test_gradients_of_a_wrapped_module_by_torch_func():
    module = halving().wrap(nn.Identity())
    logits = torch.randn(1, 1, 8, 8)
    found = torch.func.grad(lambda given: module(given).sum())(logits)
    expected = logits.clone().requires_grad_()
    module(expected).sum().backward()
    torch.testing.assert_close(found, expected.grad)


def test_a_cast_module_takes_another_calibrator():
    """A cast rounds no table, and a state that is loaded counts."""
    logits = torch.linspace(-9, 9, 64).view(1, 8, 8)
    others = Calibrator('identity', 'single', 'confidence', [([0, LIMIT], [0, LIMIT])])
    expected = halving().wrap(nn.Identity())
    for assign in (False, True):
        module = others.wrap(nn.Identity()).half()
        module.load_state_dict(expected.state_dict(), assign=assign)
        module.double()
        assert torch.equal(module(logits), expected(logits))


@pytest.mark.parametrize(
    ('record', 'kind', 'independent', 'volumes'),
    [
        ({}, 'unknown', False, True),
        ({'axes': 2}, 'images', False, False),
        ({'axes': 3}, 'volumes', False, True),
        ({'axes': None}, 'channels', True, True),
    ],
)
def test_the_record_says_what_it_was_fitted_to(record, kind, independent, volumes):
    knots = [([0, 10], [0, 5])]
    calibrator = Calibrator('temperature', 'single', 'confidence', knots, record)
    assert calibrator.fit_record.kind == kind
    wrapped = calibrator.wrap(nn.Identity())
    assert wrapped.independent == independent
    takes = nullcontext()
    if not volumes:
        takes = pytest.raises(ValueError, match='for a calibrator of volumes')
    with takes:
        wrapped(torch.randn(2, 1, 3, 8, 8))
    assert Calibrator.from_dict(calibrator.to_dict()).fit_record.kind == kind
