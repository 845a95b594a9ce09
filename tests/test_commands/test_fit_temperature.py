"""mmaslp fit-temperature, then mmaslp test and the host's test.py with the hook."""

import json
import re
from pathlib import Path

import pytest
from mmengine.runner import Runner

import mmaslp  # noqa: F401
from tests.scripts import run_script

COMMAND = Path(__file__).resolve().parents[1] / 'command.py'


def good(*args, cwd):
    done = run_script(*args, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def results_named_in(text):
    (path,) = re.findall(r'^metrics: (.*)$', text, re.MULTILINE)
    return json.loads(Path(path).read_text())


@pytest.mark.parametrize('channels', [1, 2])
def test_fit_and_test(toy, tmp_path, channels):
    cfg = toy.config(tmp_path / 'run', channels=channels)
    Runner.from_cfg(cfg).train()
    cfg.pop('experiment_name')
    cfg.log_level = 'INFO'
    if channels == 1:
        cfg.model.decode_head.threshold = 0.45
    path, checkpoint = tmp_path / 'config.py', 'run/epoch_3.pth'
    cfg.dump(path)
    fit, test = (COMMAND, 'fit-temperature'), (COMMAND, 'test')

    done = run_script(*test, path, checkpoint, '--temperature', cwd=tmp_path)
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert 'no temperature at' in done.stderr

    text = good(*fit, path, checkpoint, cwd=tmp_path)
    record = json.loads((tmp_path / f'{checkpoint}.temperature.json').read_text())
    assert f'temperature {record["temperature"]:.6g}' in text
    assert record['config'] == 'config.py'
    assert record['nll']['after'] < record['nll']['before']

    metrics = []
    for extra in ([], ['--temperature', '--report', 'report.html']):
        args = (path, checkpoint, '--eval', 'ece', 'iou', *extra)
        text = good(*test, *args, cwd=tmp_path)
        results = results_named_in(text)
        metrics.append(results['test'])
    before, after = metrics
    assert f'temperature: {record["temperature"]:.6g}' in text
    assert f'<dd>{record["temperature"]}</dd>' in (tmp_path / 'report.html').read_text()
    for key in ('acc', 'mIoU %', 'mAcc %', 'aAcc %'):
        assert after[key] == before[key]
    # The test set of the toy is its validation set.
    assert after['nll'] == pytest.approx(record['nll']['after'], abs=3e-4)
    assert after['nll'] < before['nll']
    assert after['ece'] != before['ece']

    text = good(*fit, path, checkpoint, '--regions', 'border', cwd=tmp_path)
    regions = json.loads((tmp_path / f'{checkpoint}.temperature.json').read_text())
    assert regions['temperature'] == record['temperature']
    regions = regions['regions']
    assert 'distance from the predicted border' in text and 'to 1 ' in text
    for extra, nll, shown in (
        ([], regions['nll']['after'], 'temperature: by region, '),
        (
            ['--single-temperature'],
            record['nll']['after'],
            f'{record["temperature"]:.6g}',
        ),
    ):
        args = (path, checkpoint, '--eval', 'ece', '--temperature', *extra)
        text = good(*test, *args, cwd=tmp_path)
        assert shown in text
        results = results_named_in(text)
        assert results['test']['nll'] == pytest.approx(nll, abs=3e-4)
        assert results['test']['acc'] == before['acc']

    if channels == 2:
        return
    good(*fit, path, checkpoint, cwd=tmp_path)  # the file without regions
    import mmseg

    host = Path(mmseg.__path__[0]) / '.mim' / 'tools' / 'test.py'
    if not host.is_file():
        pytest.skip(f'the host was installed without its tools ({host})')
    cfg.custom_hooks.append(dict(type='TemperatureHook'))
    cfg.dump(path)
    text = good(host, path, checkpoint, '--work-dir', 'host', cwd=tmp_path)
    assert f'divided by T = {record["temperature"]:.6g}' in text
    (saved,) = (tmp_path / 'host').rglob('calibration_test.json')
    result = json.loads(saved.read_text())
    assert result['settings']['temperature'] == record['temperature']
    assert result['nll'] == after['nll'] and result['ece'] == after['ece']
