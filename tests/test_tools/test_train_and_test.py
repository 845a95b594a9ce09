import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmaslp.commands import run_command
from tests.scripts import run_script
from tests.toy import Toy

ROOT = Path(__file__).resolve().parents[2]


def tool(name, *args, cwd):
    return run_script(ROOT / 'tools' / name, *args, cwd=cwd)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A toy config on disk, trained through tools/train.py."""
    root = tmp_path_factory.mktemp('tools')
    toy = Toy(root / 'toy')
    cfg = toy.config(root / 'run', auxiliary=True)
    cfg.pop('experiment_name')
    cfg.test_evaluator = [dict(type='CalibrationMetric')]
    cfg.log_level = 'INFO'
    cfg.default_hooks.visualization = dict(type='SegVisualizationHook', interval=1)
    cfg.visualizer = dict(
        type='SegLocalVisualizer',
        vis_backends=[dict(type='LocalVisBackend')],
        name='visualizer',
    )
    other = dict(cfg.test_dataloader.dataset)
    (root / 'toy' / 'val' / 'none').mkdir()
    for mask in (root / 'toy' / 'val' / 'masks').iterdir():
        Image.new('L', (16, 16)).save(root / 'toy' / 'val' / 'none' / mask.name)
    empty = {**other, 'data_prefix': dict(img_path='images', seg_map_path='none')}
    cfg.test_sets = {'second': other, 'empty': empty}
    cfg.tta_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(
            type='TestTimeAug',
            transforms=[
                [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)],
                [dict(type='LoadBinaryAnnotations')],
                [dict(type='PackSegInputs')],
            ],
        ),
    ]
    cfg.tta_model = dict(type='BinarySegTTAModel')
    # The short form, which the host itself does not read.
    cfg.custom_imports = ['mmaslp']
    path = root / 'toy_config.py'
    cfg.dump(path)
    done = tool('train.py', path, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    return root, path


def test_resume(trained):
    root, path = trained
    done = tool(
        'train.py',
        path,
        '--resume',
        '--cfg-options',
        'train_cfg.max_epochs=4',
        cwd=root,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'resumed levels of 10 images' in done.stdout
    (root / 'run' / 'epoch_4.pth').unlink()
    (root / 'run' / 'last_checkpoint').write_text(str(root / 'run' / 'epoch_3.pth'))


def test_several_sets_in_one_run(trained):
    root, path = trained
    done = tool(
        'test.py',
        path,
        'run/epoch_3.pth',
        '--eval',
        'ece',
        'iou',
        '--out-prob',
        'maps',
        '--report',
        'report.html',
        cwd=root,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((root / 'run' / 'eval' / 'results.json').read_text())
    assert results.pop('format') == 'mmaslp test 1'
    assert [*results] == ['test', 'empty', 'second']
    assert results['test'] == results['second']
    assert results['empty']['mIoU %'] is None
    table = done.stdout[done.stdout.rindex('  ECE') :].splitlines()
    assert [line.split('  ')[0] for line in table[1:5]] == [
        'test',
        'empty (no object)',
        'second',
        '',
    ]
    assert table[2].rstrip().endswith('-')
    for name, figures in results.items():
        folder = root / 'run' / 'eval' / name
        [figures_on_disk, *_] = json.loads(
            (folder / 'calibration_test.json').read_text()
        )
        assert figures_on_disk['ece'] == pytest.approx(figures['ece'])
        assert figures_on_disk['num_images'] == 5
        assert (folder / 'reliability_test.png').stat().st_size > 1000
        maps = sorted((root / 'maps' / name).glob('*.png'))
        assert len(maps) == 5
        assert np.asarray(Image.open(maps[0])).dtype == np.uint16
    assert '<table' in (root / 'report.html').read_text()

    # The maps on disk give the figures of the run.
    folders = [str(root / 'maps' / 'test'), str(root / 'toy' / 'val' / 'masks')]
    file = root / 'maps.json'
    assert run_command('eval-maps', [*folders, '--json', str(file)]) == 0
    from_maps = json.loads(file.read_text())
    for key in ('ece', 'acc', 'conf', 'nll', 'brier'):
        assert from_maps[key] == pytest.approx(results['test'][key], abs=2e-5)


def test_test_time_augmentation(trained, monkeypatch):
    root, path = trained
    monkeypatch.chdir(root)
    words = [str(path), 'run/epoch_3.pth', '--sets', 'test', '--eval', 'ece']
    words += ['--overwrite', '--cfg-options', 'test_evaluator.0.draw=False']
    figures = []
    for name, extra in (('eval', []), ('eval_tta', ['--tta'])):
        assert run_command('test', [*words, *extra]) == 0
        results = json.loads((root / 'run' / name / 'results.json').read_text())
        figures.append(results['test'])
    assert figures[0] != figures[1]
    assert figures[1]['acc'] == pytest.approx(figures[0]['acc'], abs=0.2)


def test_out_with_a_list_of_evaluators(trained):
    root, path = trained
    args = ('run/epoch_3.pth', '--sets', 'test', 'empty', '--out', 'out')
    done = tool('test.py', path, *args, '--show-dir', 'shown', '--overwrite', cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = [
        json.loads((root / 'out' / name / 'calibration_test.json').read_text())[0]
        for name in ('test', 'empty')
    ]
    assert figures[0]['acc'] != figures[1]['acc']
    for name in ('test', 'empty'):
        assert f'{name}: out/{name}/reliability_test.png' in done.stdout
        assert list((root / 'shown' / name).rglob('*.png'))


def test_the_missing_data_set_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = ROOT / 'configs' / 'aslp' / 'unet_duts.py'
    torch.save({}, 'x.pth')
    assert run_command('test', [str(path), 'x.pth', '--eval', 'ece']) == 2
    assert 'no DUTS-TE in' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['train', 'test'])
def test_the_tools_name_themselves(name, tmp_path):
    done = tool(f'{name}.py', '--help', cwd=tmp_path)
    assert done.stdout.startswith(f'usage: python tools/{name}.py ')


def test_host_tools_run_the_reference_config_from_elsewhere(tmp_path):
    """The host's unmodified train.py and test.py, with a small copy of DUTS."""
    import mmseg

    host = Path(mmseg.__path__[0]) / '.mim' / 'tools'
    if not host.is_dir():
        pytest.skip(f'the host was installed without its tools ({host})')
    rng = np.random.default_rng(0)
    for folder, image_dir, mask_dir in (
        ('DUTS-TR', 'DUTS-TR-Image', 'DUTS-TR-Mask'),
        ('DUTS-TE', 'DUTS-TE-Image', 'DUTS-TE-Mask'),
    ):
        base = tmp_path / 'data' / folder
        (base / image_dir).mkdir(parents=True)
        (base / mask_dir).mkdir()
        for i in range(4):
            mask = np.zeros((32, 40), np.uint8)
            mask[8:24, 10:30] = 255
            image = rng.integers(0, 255, (32, 40, 3)).astype(np.uint8)
            Image.fromarray(image).save(base / image_dir / f'{i}.jpg')
            Image.fromarray(mask).save(base / mask_dir / f'{i}.png')
    (tmp_path / 'data' / 'DUTS-TR' / 'train.txt').write_text('0\n1\n')
    (tmp_path / 'data' / 'DUTS-TR' / 'val.txt').write_text('2\n3\n')
    config = ROOT / 'configs' / 'aslp' / 'unet_duts.py'
    resize = 'train_dataloader.dataset.pipeline.2.scale=(32,32)'
    small = [
        '--cfg-options',
        'model.backbone.base_channels=4',
        'model.decode_head.in_channels=4',
        'model.auxiliary_head.in_channels=8',
        'model.data_preprocessor.size=(32,32)',
        resize,
        'train_cfg.max_epochs=1',
        'custom_hooks.0.warmup_epochs=0',
        *(
            f'{s}_dataloader.{k}'
            for s in ('train', 'val', 'test')
            for k in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
        ),
        'val_dataloader.dataset.pipeline.1.scale=(32,32)',
        'test_dataloader.dataset.pipeline.1.scale=(32,32)',
    ]
    work = ['--work-dir', str(tmp_path / 'run')]
    for command in (
        [host / 'train.py', config, *work, *small],
        [host / 'test.py', config, tmp_path / 'run' / 'epoch_1.pth', *work, *small],
    ):
        done = run_script(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
    assert 'calib/ece' in done.stdout
