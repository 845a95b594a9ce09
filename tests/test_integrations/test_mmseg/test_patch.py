"""The doctor's patch: what it says, and that stock configs train with it."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config

from mmaslp.commands import run_command
from mmaslp.integrations.mmseg.data import leaf_sets
from mmaslp.integrations.mmseg.doctor import child_config, pasted
from mmaslp.integrations.mmseg.training import run_training
from tests.configs import load_config
from tests.toy import write_images

STOCK = Path(mmseg.__path__[0]) / '.mim' / 'configs'


@pytest.fixture
def two_files(tmp_path):
    (tmp_path / 'base.py').write_text(
        "model = dict(depth=3, head=dict(size=1, loss=dict(type='CE', w=2)))\n"
        "hooks = [dict(type='H')]\nnothing = None\nval = dict(a=1)\n"
    )
    child = tmp_path / 'child.py'
    child.write_text(
        "_base_ = ['./base.py']\n"
        'size = 8\nmodel = dict(depth=4, head=dict(size=2))\n'
        'val = dict(a=2, b=dict(c=3))\ntest = val\n'
    )
    return child


def changed(cfg):
    """The config as it should be."""
    cfg = cfg.to_dict()
    cfg['model']['head']['loss'] = dict(type='S')
    cfg['model']['aux'] = dict(loss=dict(type='S', w=0.4))
    cfg['hooks'] = [dict(type='H'), dict(type='ASLPHook')]
    cfg['nothing'] = dict(a=1)
    cfg['val']['b'] = dict(d=4)
    cfg['test']['b'] = dict(e=5)
    cfg['imports'] = dict(imports=['x'])
    cfg['sets'] = {'DUT-OMRON': 1}
    return cfg


def test_what_is_pasted_gives_what_is_wanted(two_files):
    cfg = Config.fromfile(two_files)
    wanted = changed(cfg)
    block = pasted(str(two_files), cfg.to_dict(), wanted)
    assert re.search(r'^model ?= ?dict\(model,', block, re.MULTILINE)
    two_files.write_text(two_files.read_text() + block + '\n')
    assert Config.fromfile(two_files).to_dict() == wanted
    # A second time there is nothing to do, and nothing breaks.
    again = pasted(str(two_files), wanted, wanted)
    assert again == ''


def test_what_is_written_to_a_file_gives_what_is_wanted(two_files):
    cfg = Config.fromfile(two_files)
    wanted = changed(cfg)
    file = two_files.with_name('patched.py')
    file.write_text(child_config('child.py', cfg.to_dict(), wanted))
    assert Config.fromfile(file).to_dict() == wanted


def doctor(*words):
    out = StringIO()
    with redirect_stdout(out):
        code = run_command('doctor', [*map(str, words)])
    return code, out.getvalue()


def of_the_last_batch(part):
    """Let norms take its statistics: of two iterations deep networks overflow."""
    values = part.values() if isinstance(part, dict) else part
    if isinstance(part, dict) and 'BN' in str(part.get('type')):
        part['momentum'] = 1.0
    for value in values:
        if isinstance(value, (dict, list, tuple)):
            of_the_last_batch(value)


def small(path):
    """Nine iterations of a config at 64 pixels, without weights from elsewhere."""
    cfg = load_config(str(path))
    model = cfg.model
    model.pretrained = model.backbone.init_cfg = None
    model.backbone.pop('pretrained', None)
    size = (64, 64)
    if 'size' in (model.get('data_preprocessor') or {}):
        model.data_preprocessor.size = size
    model.test_cfg = dict(mode='whole')
    of_the_last_batch(model)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        for step in leaf_sets(loader.dataset)[0].pipeline:
            for key in ('scale', 'crop_size'):
                if key in step:
                    step[key] = size
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=9, val_interval=1)
    cfg.default_hooks.pop('visualization', None)
    cfg.update(work_dir=f'run_{path.stem}', visualizer=None, log_level='ERROR')
    cfg.experiment_name = str(path.resolve())
    return cfg


def stock(name):
    path = STOCK / name
    if not path.is_file():
        pytest.skip(f'MMSegmentation was installed without {path}')
    return path


CONFIGS = [
    # Two channels, an auxiliary head, TTA.
    'unet/unet-s5-d16_fcn_4xb4-40k_drive-64x64.py',
    # A list of losses.
    'unet/unet-s5-d16_deeplabv3_4xb4-ce-1.0-dice-3.0-40k_drive-64x64.py',
]
MORE = [
    # 19 classes, a one-channel head without a threshold comes out.
    'fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py',
    # A cascade, which needs two channels.
    'ocrnet/ocrnet_hr18s_4xb2-40k_cityscapes-512x1024.py',
    'unet/unet-s5-d16_pspnet_4xb4-40k_stare-128x128.py',
    'fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py',
    'deeplabv3/deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024.py',
    'deeplabv3plus/deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512.py',
    'pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
    'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
    'upernet/upernet_r50_4xb4-20k_voc12aug-512x512.py',
    'hrnet/fcn_hr18s_4xb2-40k_cityscapes-512x1024.py',
    'bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py',
    'bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py',
    'mobilenet_v2/mobilenet-v2-d8_fcn_4xb2-80k_cityscapes-512x1024.py',
    'erfnet/erfnet_fcn_4xb4-160k_cityscapes-512x1024.py',
    'cgnet/cgnet_fcn_4xb4-60k_cityscapes-680x680.py',
    'sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024.py',
    'danet/danet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
    'icnet/icnet_r18-d8_4xb2-80k_cityscapes-832x832.py',
    'stdc/stdc1_4xb12-80k_cityscapes-512x1024.py',
    'pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py',
    'ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py',
]


@pytest.mark.release
@pytest.mark.parametrize('name', [*CONFIGS, *MORE])
def test_stock_configs_train_with_the_patch(tmp_path, monkeypatch, name):
    """From a config of MMSegmentation and a folder of 0/255 masks to two iterations."""
    monkeypatch.chdir(tmp_path)
    write_images(Path('data'), 10, seed=0, size=64)
    paste_patch(copied(stock(name)))
    hooks = load_config('mine.py').custom_hooks
    assert [hook.type for hook in hooks] == ['ASLPHook']
    assert run_training(small(Path('mine.py'))).iter == 9


def copied(config):
    """The text of a stock config, with its bases by their paths."""

    def absolute(found):
        return f"'{(config.parent / found[1]).resolve().as_posix()}'"

    return re.sub(r"'(\.\.?/[^']+\.py)'", absolute, config.read_text())


def paste_patch(text):
    """Paste what the doctor prints at the end of mine.py; then it finds no error."""
    Path('mine.py').write_text(text)
    code, printed = doctor('mine.py', '--data', 'data')
    assert code == 0, printed
    block = printed[printed.index('# Paste at the end of mine.py') :]
    Path('mine.py').write_text(text + block[: block.rindex('\n\n')])
    code, printed = doctor('mine.py')
    assert code == 0, printed
    assert printed.splitlines()[-1].startswith('0 errors')
    assert 'Paste' not in printed


def test_a_patch_that_is_pasted_trains(tmp_path, monkeypatch):
    """A narrow copy of a stock config, and one whole doctor."""
    monkeypatch.chdir(tmp_path)
    write_images(Path('data'), 10, seed=0, size=64)
    narrow = 'backbone=dict(base_channels=4), decode_head=dict(in_channels=4)'
    narrow += ', auxiliary_head=dict(in_channels=8)'
    text = copied(stock(CONFIGS[0]))
    paste_patch(text.replace('model = dict(', f'model = dict({narrow}, '))
    assert run_training(small(Path('mine.py'))).iter == 9


def test_a_patch_replaces_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('mine.py').write_text('a = 1\n')
    Path('other.py').write_text('b = 2\n')
    refused = {
        'new.txt': 'name a new file that ends with .py',
        'mine.py': 'is an input: name another file, or it would be lost',
        'other.py': 'replace it with --overwrite, or name another',
    }
    for file, message in refused.items():
        assert run_command('doctor', ['mine.py', '--patch', file]) == 2
        assert message in capsys.readouterr().err
    assert Path('mine.py').read_text() == 'a = 1\n'
    assert Path('other.py').read_text() == 'b = 2\n'
    for file in ('mine.py/x.py', 'folder.py/'):
        assert run_command('doctor', ['mine.py', '--patch', file]) == 2
        assert file.strip('/') in capsys.readouterr().err


def test_a_config_that_imports_its_bases_is_no_base(toy, tmp_path, capsys):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.model.decode_head.loss_decode = dict(type='CrossEntropyLoss', use_sigmoid=True)
    cfg.dump(tmp_path / 'plain.py')
    (tmp_path / 'new.py').write_text(
        'from mmengine.config import read_base\n\n'
        'with read_base():\n    from .plain import *\n'
    )
    patch = tmp_path / 'patch.py'
    args = [str(tmp_path / 'new.py'), '--patch', str(patch)]
    assert run_command('doctor', args) == 2
    assert 'leave --patch out, and paste the lines' in capsys.readouterr().err
    assert not patch.exists()


def test_a_patch_says_what_it_leaves_and_its_folder_is_made(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.model.decode_head.loss_decode = dict(type='CrossEntropyLoss', use_sigmoid=True)
    cfg.load_from = 'nowhere.pth'
    cfg.dump(tmp_path / 'plain.py')
    patch = tmp_path / 'new' / 'patch.py'
    code, printed = doctor(tmp_path / 'plain.py', '--patch', str(patch))
    assert code == 1
    assert load_config(str(patch)).model.decode_head.loss_decode.type == 'SCBCELoss'
    assert ': train with it' not in printed
    assert 'put right what it leaves:\n- load_from: no checkpoint at ' in printed


def test_a_config_that_needs_no_patch(toy, tmp_path, capsys):
    toy.config(tmp_path / 'run').dump(tmp_path / 'good.py')
    patch = tmp_path / 'patch.py'
    assert (
        run_command('doctor', [str(tmp_path / 'good.py'), '--patch', str(patch)]) == 0
    )
    assert f'so that {patch} was not written' in capsys.readouterr().out
    assert not patch.exists()


@pytest.mark.parametrize(
    'base', ['mmaslp::demo/bce.py', 'mmseg::_base_/models/fcn_unet_s5-d16.py']
)
def test_bases_that_only_we_can_read_are_said(tmp_path, base):
    (tmp_path / 'mine.py').write_text(f"_base_ = ['{base}']\n")
    _, printed = doctor(tmp_path / 'mine.py')
    assert f'only the tools of mmaslp can read {base!r}' in printed
