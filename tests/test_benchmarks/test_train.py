"""The plain trainer: resume, every method, maps; rival losses against their papers."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))
import evaluate
import few_images
import train
import windows
from rival_losses import ML1ACE, SVLS, AdaFocal, CRaC

from mmaslp.calibration.fitting.methods import SURE


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for part, number in (('train', 16), ('val', 12), ('test', 4)):
        for kind in ('images', 'masks'):
            (tmp_path / part / kind).mkdir(parents=True)
        for index in range(number):
            mask = np.zeros((16, 16), np.uint8)
            left, top = rng.integers(0, 8, 2)
            mask[top : top + 8, left : left + 8] = 255
            image = (mask[..., None] // 2 + rng.integers(0, 99, (16, 16, 3))).astype(
                'u1'
            )
            Image.fromarray(image).save(tmp_path / part / 'images' / f'{index:02}.png')
            Image.fromarray(mask).save(tmp_path / part / 'masks' / f'{index:02}.png')
    return tmp_path


@pytest.fixture
def start(data, monkeypatch):
    monkeypatch.setitem(train.NETWORKS, 'unet', (16, 3e-3, 4))

    def make(method='bce', name='out', epochs=4, replace=None, add=None, doubt=0.0):
        out = data / name
        out.mkdir(parents=True, exist_ok=True)
        args = argparse.Namespace(
            data=data, ood=None, other=None, shift=False, method=method, network='unet',
            train_images=None, patches=False, full=False, beta='HI', alpha=0.05,
            disturb=None, disturb_objects=False,
            replace=replace, add=add, doubt=doubt, begin=0.0, eta=None, smallest=0.25,
            epochs=epochs, seed=0, swap=False, wrong=0, out=out,
        )  # fmt: skip
        return train.Run(args)

    return make


@pytest.mark.parametrize('method', ['band', 'adafocal'])
def test_a_killed_run_goes_on_bit_for_bit(start, method):
    whole = start(method, 'whole')
    whole.fit()
    killed = start(method, 'killed')
    for _ in range(2):
        killed.epoch()
        killed.done += 1
        killed.validate()
    killed.save()
    again = start(method, 'killed')
    again.fit()
    assert again.history == whole.history
    for one, two in zip(again.network.parameters(), whole.network.parameters()):
        assert torch.equal(one, two)


@pytest.mark.parametrize('method', train.METHODS)
def test_every_method_trains_and_leaves_maps(start, method):
    run = start(method, epochs=1)
    run.fit()
    run.finish()
    with np.load(run.args.out / 'maps.npz') as maps:
        assert maps['test_logits'].shape == maps['test_labels'].shape == (4, 16, 16)
        assert np.isfinite(maps['val_logits']).all()
    record = json.loads((run.args.out / 'run.json').read_text())
    assert record['options']['method'] == method


@pytest.mark.parametrize('how', [dict(replace=0.5), dict(add=2)])
def test_windows_come_into_every_batch(start, how):
    run = start(**how)
    _, labels = run.batch(torch.arange(16))
    empty = ~labels.bool().flatten(1).any(1)
    assert len(labels) == 16 + how.get('add', 0)
    assert 2 <= empty.sum() < 16


def test_windows_may_have_a_label_of_doubt(start):
    _, labels = start(replace=0.5, doubt=0.1).batch(torch.arange(16))
    windows = (labels == 0.1).flatten(1).all(1)
    assert 2 <= windows.sum() < 16
    assert set(labels[~windows].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.release
def test_trainings_are_compared_on_images_without_an_object(
    start, data, monkeypatch, capsys
):
    for training, replace in (('bce', None), ('bce_windows', 0.5)):
        for seed in range(2):
            name = f'runs/few/set/{training}/seed{seed}'
            run = start(name=name, epochs=1, replace=replace)
            run.args.other = data
            run.fit()
            run.finish()
    monkeypatch.setattr(windows, 'RESAMPLES', 20)
    file = data / 'windows.json'
    options = ['windows.py', data / 'runs', '--json', file]
    monkeypatch.setattr(sys, 'argv', [*map(str, options)])
    windows.main()
    found = json.loads(file.read_text())
    own = found['calibrated']['bce_windows']['set']
    plain = found['calibrated']['bce']['set']
    assert own['seeds'] == 2
    for key in ('nll', 'nll_other', 'nll_windows'):
        low, high = own['change'][key][1:]
        assert low <= own['change'][key][0] <= high
        assert own['change'][key][0] == pytest.approx(
            own[key][0] / plain[key][0], rel=1e-3
        )
    assert own['change']['miou'][0] == pytest.approx(
        own['miou'][0] - plain['miou'][0], abs=1e-5
    )
    assert '| bce_windows over bce |' in capsys.readouterr().out


@pytest.mark.release
def test_rows_of_finished_runs(start, data, monkeypatch, capsys):
    for seed in range(2):
        run = start(name=f'runs/few/set/bce/seed{seed}')
        run.fit()
        run.finish()
    monkeypatch.setattr(evaluate, 'RESAMPLES', 20)
    file = data / 'few.json'
    options = ['evaluate.py', data / 'runs', '--regime', 'few', '--json', file]
    monkeypatch.setattr(sys, 'argv', [*map(str, options)])
    evaluate.main()
    found = json.loads(file.read_text())
    assert len(found['runs']) == 2
    assert '| bce + isotonic by band | 2 |' in capsys.readouterr().out
    same, ratio = (found['table']['bce + temperature'][k] for k in ('mean', 'ratio'))
    assert ratio['nll'] == [1, 1, 1]
    assert same['nll'][1] <= same['nll'][0] <= same['nll'][2]
    shipped = found['table']['bce']['mean']
    assert shipped['miou_keep'] == same['miou_keep']
    assert shipped['acc'] == same['acc']


@pytest.mark.release
def test_few_images_correct_what_is_too_sure(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(40, 16, 16)).astype(np.float32)
    labels = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    folder = tmp_path / 'few' / 'set' / 'bce' / 'seed0'
    folder.mkdir(parents=True)
    np.savez(folder / 'maps.npz', val_logits=5 * logits, val_labels=labels)
    monkeypatch.setattr(few_images, 'DRAWS', 2)
    file = tmp_path / 'few_images.json'
    monkeypatch.setattr(sys, 'argv', ['', str(tmp_path), '--json', str(file)])
    few_images.main()
    rows = json.loads(file.read_text())['over-fitted']
    true = np.where(labels, np.logaddexp(0, -logits), np.logaddexp(0, logits)).mean()
    for number, left in ((10, 0.3), (20, 0.1)):  # so much of the excess is left
        excess = rows[f'{number} | none']['nll'] - true
        assert excess > 0.5 * true
        assert -0.05 < rows[f'{number} | fit']['nll'] - true < left * excess
        assert rows[f'{number} | fit']['unchanged'] == 0


def test_the_figures_of_few_images_are_those_of_the_rule_of_a_fit():
    file = Path(few_images.__file__).parent / 'results' / 'few_images.json'
    rows = json.loads(file.read_text(encoding='utf-8'))['all']
    known = few_images.Rule()
    name = f'{known.halfway:g} half-way, t({SURE:g})'
    assert rows['fit'] == rows[name]
    assert rows['fit']['draws'] >= 500
    for part in ('', '_test'):
        assert rows['fit'][f'worse{part}'] < rows['any'][f'worse{part}']


def test_what_chance_leaves():
    """The mean ECE of calibrated images, whose offset was fitted to other images."""
    rng = np.random.default_rng(0)
    gaps = rng.normal(size=(9000, 40 + 25, 3)) * [1, 2, 5]
    found = np.abs(gaps[:, :40].mean(1) - gaps[:, 40:].mean(1)).sum(1) / 10
    expected = np.mean([evaluate.chance(each[:40], 10, 25) for each in gaps])
    assert found.mean() == pytest.approx(expected, rel=0.02)


def test_iou_of_both_classes():
    masks, labels = torch.zeros(2, 2, 4, 4)
    masks[0, :2], labels[0, 1:3] = 1, 1
    found = evaluate.mask_figures(masks > 0, labels, evaluate.weights_of(2, 20))
    both, union, pixels = 4, 12, 32
    background = (pixels - union) / (pixels - both)
    assert found['iou'][0] == both / union
    assert found['miou'][0] == (both / union + background) / 2


def test_svls_blurs_the_border_only():
    labels = torch.zeros(1, 8, 8)
    labels[..., 4:] = 1
    logits = torch.zeros(1, 8, 8).requires_grad_()
    SVLS()(logits, labels).backward()
    target = 0.5 - 64 * logits.grad[0, 3]
    assert target.tolist()[:3] == pytest.approx([0, 0, 0], abs=1e-6)
    assert target[3].item() == pytest.approx(1 - target[4].item(), abs=1e-6)
    assert 0 < target[3].item() < 0.25


def test_the_calibration_error_of_calibrated_maps_is_0():
    labels = torch.zeros(1, 8, 8)
    labels[..., ::2] = 1
    cross_entropy = np.log(2)
    found = ML1ACE()(torch.zeros(1, 8, 8), labels).item()
    assert found == pytest.approx(0.5 * cross_entropy, abs=1e-6)
    assert ML1ACE()(torch.ones(1, 8, 8), labels).item() > found


def test_gamma_follows_the_gap():
    loss = AdaFocal()
    loss.gamma[:3] = torch.tensor([1.0, 0.21, -0.21])
    gap = torch.zeros(15)
    gap[:3] = torch.tensor([0.5, -0.5, 0.5])
    moved = loss.moved(gap)[:4].tolist()
    assert moved == pytest.approx([np.exp(0.5), -0.2, 0.2, 1.0])


def test_multipliers_grow_with_the_constraint():
    loss, labels = CRaC(), torch.ones(2, 8, 8)
    loss.observe(torch.zeros(2, 8, 8), labels)  # h = 5 / 2, all inside
    assert loss.lam.tolist() == pytest.approx([1e-6, 0.25], abs=1e-5)
