"""The blocks of the page of products, run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmaslp import Calibrator, fit_calibrator
from mmaslp.commands import main
from mmaslp.files.prob_maps import MapReader, write_prob_map
from tests.map_folders import write_set
from tests.test_docs.test_doors import ROOT, blocks, probabilities

PAGE = 'docs/production.md'


@pytest.mark.filterwarnings('ignore')
def test_a_network_of_hugging_face(tmp_path, monkeypatch):
    pytest.importorskip('transformers')
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    from tests.transformers_toy import Squares, segformer

    monkeypatch.chdir(tmp_path)
    segformer().save_pretrained('net')
    loader = torch.utils.data.DataLoader(Squares(12), batch_size=4)
    fit, load, export, _ = blocks(PAGE)
    names = dict(val_loader=loader)
    exec(fit, names)
    calibrator = Calibrator.load('net/calibrator.json')
    assert calibrator.record['images'] == 12
    assert calibrator.record['network'] is not None
    exec(load, names)
    size = tuple(Squares(1)[0]['pixel_values'].shape[-2:])
    exec(export.replace('64, 64', f'{size[0]}, {size[1]}'), names)
    session = runtime.InferenceSession('net.onnx')
    (given,) = session.get_inputs()
    for number in (2, 3):
        images = torch.rand(number, 3, *size)
        (found,) = session.run(None, {given.name: images.numpy()})
        with torch.no_grad():
            expected = names['model'](pixel_values=images).logits
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


@pytest.mark.filterwarnings('ignore')
def test_any_number_and_any_size(tmp_path, monkeypatch):
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    monkeypatch.chdir(tmp_path)
    *_, export = blocks(PAGE)
    calibrator = fit_calibrator(*probabilities(), by='single', method='temperature')
    names = dict(calibrator=calibrator, network=nn.Conv2d(3, 1, 3), torch=torch)
    exec(export, names)
    session = runtime.InferenceSession('any_size.onnx')
    for size in ((1, 3, 40, 56), (3, 3, 64, 64)):
        images = torch.rand(*size)
        (found,) = session.run(None, {'images': images.numpy()})
        expected = names['network'](images).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_file_for_github_actions_is_the_script_of_the_page():
    yaml = pytest.importorskip('yaml')
    text = (ROOT / 'examples/nightly.yml').read_text(encoding='utf-8')
    steps = yaml.safe_load(text)['jobs']['check']['steps']
    commands = [step.get('run', '') for step in steps]
    base, *nightly = [line for line in commands if line.startswith('mmaslp ')]
    assert base == 'mmaslp eval-maps tonight/maps tonight/masks --json base.json'
    page = [line for line in script().splitlines() if line.startswith('mmaslp')]
    assert nightly == page


def script():
    """The script of the page."""
    text = (ROOT / PAGE).read_text(encoding='utf-8')
    return text.split('```sh\n')[1].split('```')[0]


def night(root):
    """Run the script of the page."""
    text = script().replace('dice=.8', 'dice=.5')
    program = f'"{sys.executable}" -m mmaslp'
    text = text.replace('\nmmaslp', f'\n{program}')
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run(
        ['sh', '-c', text], cwd=root, capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize(
    'state',
    [
        'the same',
        pytest.param('other images', marks=pytest.mark.release),
        'too sure',
    ],
)
def test_the_check_of_each_night(tmp_path, monkeypatch, state):
    base = tmp_path / 'base'
    maps, masks = write_set(base, 60)
    calibrator = tmp_path / 'calibrator.json'
    assert main(['fit', str(maps), str(masks), '--out', str(calibrator)]) == 0
    raw = tmp_path / 'raw'
    maps.rename(raw)
    assert main(['apply', str(calibrator), str(raw), '--out', str(maps)]) == 0
    result = tmp_path / 'base.json'
    assert main(['eval-maps', str(maps), str(masks), '--json', str(result)]) == 0

    seed = 0 if state == 'the same' else 1
    new, _ = write_set(tmp_path / 'tonight', 60, seed=seed)
    other = tmp_path / 'other'
    new.rename(other)
    assert main(['apply', str(calibrator), str(other), '--out', str(new)]) == 0
    today = tmp_path / 'today' / 'maps'
    today.parent.mkdir()
    other.rename(today)
    hot = [*new.iterdir(), *today.iterdir()] if state == 'too sure' else []
    for path in hot:
        odds = MapReader().read(path).clip(1e-5, 1 - 1e-5)
        odds = (odds / (1 - odds)) ** 1.6
        write_prob_map(path, odds / (1 + odds), overwrite=True)
    if state != 'the same':
        for path in [*new.iterdir(), *(tmp_path / 'tonight/masks').iterdir()]:
            path.rename(path.with_name(f'new{path.name}'))
    done = night(tmp_path)
    assert done.returncode == (1 if state == 'too sure' else 0), done.stdout
    if state != 'too sure':
        assert 'are like the 60 of the fit' in done.stdout
    assert not done.stderr


def test_many_machines_give_the_files_of_one(tmp_path, monkeypatch):
    pytest.importorskip('distributed')
    maps, masks = write_set(tmp_path / 'val', 40)
    args = [str(maps), str(masks), str(maps)]
    script = ROOT / 'examples/many_machines.py'
    done = subprocess.run(
        [sys.executable, str(script), *args, '--out', str(tmp_path / 'many')],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(str(script.parent))
    import joblib
    from many_machines import work

    with joblib.parallel_config('sequential'):
        work(*args, tmp_path / 'one')
    for name in ('result.json', 'calibrator.json', 'review.csv'):
        one, many = (tmp_path / place / name for place in ('one', 'many'))
        assert one.read_bytes() == many.read_bytes()


def test_the_versions_of_files_are_those_of_the_code():
    from mmaslp.commands.compare import FORMAT as COMPARISON
    from mmaslp.evaluation.result import FORMAT

    text = Path(ROOT / PAGE).read_text(encoding='utf-8')
    for version in (FORMAT, COMPARISON):
        assert f'| `{version}` |' in text
