"""Calibration under shift: the corruptions, and the script on tiny data."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.runner import Runner

from tests.scripts import run_script

pytestmark = pytest.mark.release

SCRIPTS = Path(__file__).resolve().parents[2] / 'benchmarks'
needs_library = pytest.mark.skipif(
    'not __import__("importlib.util").util.find_spec("imagecorruptions")',
    reason='needs imagecorruptions-imaug, of the extra "benchmarks"',
)


@pytest.fixture
def corruption(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import corruption

    return corruption


@needs_library
def test_every_corruption_depends_on_name_severity_and_seed_alone(corruption):
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)

    def corrupted(name='a/0.png', **settings):
        step = corruption.CorruptImage(**settings)
        np.random.seed(np.random.randint(100))
        before = np.random.get_state()[1].copy()
        found = step.transform(dict(img=image.copy(), img_path=name))['img']
        assert (np.random.get_state()[1] == before).all()
        assert found.shape == image.shape and found.dtype == np.uint8
        return found

    assert list(corruption.COMMON) == corruption.corruptions().get_corruption_names()
    drawn = 0
    for name in corruption.COMMON:
        first = corrupted(corruption=name, severity=3)
        assert (first == corrupted('b/0.png', corruption=name, severity=3)).all()
        assert (first != image).any()
        other = corrupted('a/1.png', corruption=name, severity=3)
        seeded = corrupted(corruption=name, severity=3, seed=1)
        drawn += bool((other != first).any() and (seeded != first).any())
        assert (corrupted(corruption=name, severity=5) != first).any()
    # Brightness, contrast, defocus, zoom, pixels and JPEG draw nothing.
    assert drawn == 9


@pytest.fixture
def trained(toy, tmp_path, image_folder):
    """A trained toy, and a config that tests it on images large enough."""
    cfg = toy.config(tmp_path / 'run')
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = []
    image_folder(tmp_path / 'large' / 'test', 3, seed=5, size=40)
    dataset = cfg.test_dataloader.dataset
    dataset.pop('data_prefix')
    dataset.update(data_root=str(tmp_path / 'large'), split='test')
    dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(16, 16), keep_ratio=False),
        dict(type='LoadBinaryAnnotations'),
        dict(type='PackSegInputs'),
    ]
    Runner.from_cfg(cfg).train()
    cfg.dump(tmp_path / 'toy.py')
    return [tmp_path / 'toy.py', tmp_path / 'run' / 'epoch_1.pth']


@needs_library
def test_shift(trained, tmp_path):
    file = tmp_path / 'raw.json'

    def call(*options, model=trained):
        where = ['--json', file, '--out', tmp_path / 'out']
        done = run_script(SCRIPTS / 'shift.py', *model, *where, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, json.loads(file.read_text())

    options = ['--corruptions', 'fog', 'impulse_noise', '--severities', '5', '1']
    output, rows = call(*options)
    assert [(row['corruption'], row['severity']) for row in rows] == [
        ('none', 0),
        ('fog', 1),
        ('fog', 5),
        ('impulse_noise', 1),
        ('impulse_noise', 5),
    ]
    assert {row['images'] for row in rows} == {3}
    figures = [row['figures']['nll'] for row in rows]
    assert len(set(figures)) == 5
    for label in ('clean', '1', '5', 'mean'):
        assert f'| toy | {label} | ' in output
    assert (tmp_path / 'out' / 'raw.png').stat().st_size > 1000

    # What is there stays; what is missing gives what a call for all of it gives.
    file.write_text(json.dumps(rows[:3]))
    again, same = call(*options)
    assert '3 of 5 sets are there' in again and same == rows
    assert again.splitlines()[-8:] == output.splitlines()[-8:]
    # The same corruptions with a temperature, whose hook is another method.
    warm, rows = call('--temperature', '3', '--corruptions', 'fog')
    assert [row['name'] for row in rows] == ['toy'] * 5 + ['toy+ts'] * 4
    assert rows[5]['temperature'] == {'temperature': 3.0}
    assert rows[5]['figures']['acc'] == rows[0]['figures']['acc']
    assert 'mean over 1 corruptions' in warm and '| toy+ts | mean | ' in warm
    assert call(model=())[0].splitlines()[-10:] == warm.splitlines()[-10:]

    refused = run_script(
        SCRIPTS / 'shift.py', *trained, '--json', file, '--temperature', '2'
    )
    assert refused.returncode == 2 and 'with another temperature' in refused.stderr
    refused = run_script(SCRIPTS / 'shift.py', *trained, '--json', file, '--seed', '1')
    assert refused.returncode == 2 and 'rows of another seed' in refused.stderr


def row(name, corruption, severity, ece, checkpoint='x'):
    place = dict(name=name, checkpoint=checkpoint, corruption=corruption)
    return dict(place, severity=severity, figures=dict(ece=ece))


def test_means_are_of_what_all_have(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from shift import markdown, summarise

    rows = [row('a', 'none', 0, 0.1), row('a', 'fog', 1, 0.2), row('a', 'fog', 3, 0.4)]
    rows += [row('a', 'snow', 1, 0.9)]  # not at severity 3
    rows += [row('a', 'fog', 1, 0.4, 'y'), row('a', 'fog', 3, 0.6, 'y')]
    rows += [row('b', 'fog', 1, 0.5), row('b', 'fog', 3, 0.7), row('b', 'fog', 5, 0.8)]
    found, shared = summarise(rows)
    assert shared == ['fog'] and list(found['b']) == [1, 3, 'mean']
    assert found['a'][1]['ece'] == [0.2, 0.4]
    assert found['a']['mean']['ece'] == pytest.approx([0.3, 0.5])
    assert markdown(found).splitlines()[2:5] == [
        '| a | clean | .1000 |',
        '| a | 1 | .3000 ± .1414 |',
        '| a | 3 | .5000 ± .1414 |',
    ]
