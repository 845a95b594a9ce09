"""The blocks of the page of products, run as they stand."""

import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmaslp import fit_calibrator
from mmaslp.commands import main
from mmaslp.files.prob_maps import MapReader, write_prob_map
from tests.map_folders import write_set
from tests.test_docs.test_doors import ROOT, blocks, probabilities

PAGE = 'docs/production.md'


@pytest.mark.filterwarnings('ignore')
def test_any_number_and_any_size(tmp_path, monkeypatch):
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    monkeypatch.chdir(tmp_path)
    [export] = blocks(PAGE)
    calibrator = fit_calibrator(*probabilities(), by='single', method='temperature')
    names = dict(calibrator=calibrator, raw_network=nn.Conv2d(3, 1, 3), torch=torch)
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
    lines = [line for line in script().splitlines() if line.startswith('mmaslp')]
    page = [line.removesuffix(END) for line in lines]
    assert all(line.endswith(END) for line in lines)
    assert nightly == page


END = ' || status=$?'


def script():
    """The script of the page."""
    text = (ROOT / PAGE).read_text(encoding='utf-8')
    return text.split('```sh\n')[1].split('```')[0]


def night():
    """Run the script of the page, without a shell: its status."""
    first, *lines, last = script().replace('dice=.8', 'dice=.5').splitlines()
    assert (first, last) == ('status=0', 'exit $status')
    commands = [shlex.split(line.removesuffix(END), comments=True) for line in lines]
    [kept] = [words for program, *words in filter(None, commands) if program == 'rm']
    assert kept == ['-f', 'tonight.json']
    Path('tonight.json').unlink(missing_ok=True)
    statuses = [
        main(words) for program, *words in filter(None, commands) if program != 'rm'
    ]
    return next(filter(None, statuses), 0)


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    """A folder with a calibrator and the result of calibrated maps."""
    root = tmp_path_factory.mktemp('base')
    raw, masks = map(str, write_set(root, 60))
    calibrator, maps = str(root / 'calibrator.json'), str(root / 'calibrated')
    assert main(['fit', raw, masks, '--out', calibrator]) == 0
    assert main(['apply', calibrator, raw, '--out', maps]) == 0
    assert main(['eval-maps', maps, masks, '--json', str(root / 'base.json')]) == 0
    return root


@pytest.mark.parametrize(
    'state',
    [
        'the same',
        pytest.param('other images', marks=pytest.mark.release),
        'too sure',
    ],
)
def test_the_check_of_each_night(base, tmp_path, monkeypatch, capsys, state):
    monkeypatch.chdir(tmp_path)
    for name in ('calibrator.json', 'base.json'):
        shutil.copy(base / name, tmp_path)
    seed = 0 if state == 'the same' else 1
    raw, masks = write_set(tmp_path / 'today', 60, seed=seed)
    new = Path('tonight/calibrated')
    assert main(['apply', 'calibrator.json', str(raw), '--out', str(new)]) == 0
    hot = [*new.iterdir(), *raw.iterdir()] if state == 'too sure' else []
    for path in hot:
        odds = MapReader().read(path).clip(1e-5, 1 - 1e-5)
        odds = (odds / (1 - odds)) ** 1.6
        write_prob_map(path, odds / (1 + odds), overwrite=True)
    masks = masks.rename('tonight/masks')
    if state != 'the same':
        for path in [*new.iterdir(), *masks.iterdir()]:
            path.rename(path.with_name(f'new{path.name}'))
    new.rename('tonight/maps')
    capsys.readouterr()
    assert night() == (1 if state == 'too sure' else 0)
    said = capsys.readouterr()
    if state != 'too sure':
        assert 'and the 60 images of the fit' in said.out
    assert not said.err


def test_many_machines_give_the_files_of_one(tmp_path, monkeypatch):
    """Two machines take part as threads, which send all by TCP."""
    distributed = pytest.importorskip('distributed')
    monkeypatch.syspath_prepend(ROOT / 'examples')
    import joblib
    import many_machines

    maps, masks = write_set(tmp_path / 'val', 40)
    args = [str(maps), str(masks), str(maps)]
    machines = dict(n_workers=2, processes=False, protocol='tcp://')
    with distributed.LocalCluster(**machines, dashboard_address=None) as cluster:
        out = ['--out', str(tmp_path / 'many'), '--scheduler']
        argv = ['many_machines', *args, *out, cluster.scheduler_address]
        monkeypatch.setattr(sys, 'argv', argv)
        many_machines.main()
    with joblib.parallel_config('sequential'):
        many_machines.work(*args, tmp_path / 'one')
    for name in ('result.json', 'calibrator.json', 'review.csv'):
        one, many = (tmp_path / place / name for place in ('one', 'many'))
        assert one.read_bytes() == many.read_bytes()


def test_the_versions_of_files_are_those_of_the_code():
    from mmaslp.commands.compare import FORMAT as COMPARISON
    from mmaslp.evaluation.result import FORMAT

    text = Path(ROOT / PAGE).read_text(encoding='utf-8')
    for version in (FORMAT, COMPARISON):
        assert f'| `{version}` |' in text
