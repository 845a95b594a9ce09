"""The doctor builds a config and checks what was built."""

import pytest
from PIL import Image

from mmaslp.integrations.mmseg.checks import run
from mmaslp.integrations.mmseg.doctor import build_and_check
from mmaslp.integrations.mmseg.training import prepare_training


def head(**changes):
    return lambda cfg: cfg.model.decode_head.update(changes)


def setting(path, value):
    def change(cfg):
        *names, last = path.split('.')
        for name in names:
            cfg = cfg[int(name)] if name.isdigit() else cfg[name]
        cfg[last] = value

    return change


def point_head(cfg):
    cfg.model.decode_head.sampler = dict(type='OHEMPixelSampler', thresh=0.7)


CASES = {
    'channels': (
        head(out_channels=7, num_classes=7),
        'model.decode_head has 7 channels',
    ),
    'threshold': (head(threshold=0.3), 'calls a pixel foreground above 0.3'),
    'sampler': (point_head, 'takes a softmax over the channels'),
    'other loss': (
        head(loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)),
        'no head trains with SCBCELoss',
    ),
    'argument of a loss': (
        setting('model.decode_head.loss_decode.beta', 'XX'),
        'beta',
    ),
    'unknown type': (
        setting('custom_hooks.0.type', 'ASLPHok'),
        'ASLPHok is not in the',
    ),
    'optimizer': (setting('optim_wrapper.optimizer.type', 'Adm'), 'Adm is not in'),
    'learning rate': (setting('optim_wrapper.optimizer.lr', '0.1'), 'optim_wrapper: '),
    'batch size': (setting('train_dataloader.batch_size', 0), 'train_dataloader: '),
    'workers': (setting('val_dataloader.num_workers', -1), 'val_dataloader: '),
    'no validation': (setting('train_cfg.val_interval', 0), 'val_interval is 0'),
    'a batch above the set': (
        lambda cfg: cfg.train_dataloader.update(batch_size=99, drop_last=True),
        'train_dataloader gives no batch',
    ),
    'few images for a calibrator': (
        lambda cfg: cfg.merge_from_dict(
            {
                'custom_hooks': [dict(type='CalibratorHook')],
                'val_dataloader.dataset.indices': 4,
            }
        ),
        'the validation set has 4 images, and CalibratorHook fits',
    ),
    'no data': (
        setting('train_dataloader.dataset.data_root', 'nowhere'),
        'train_dataloader: ',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_findings_of_the_doctor(toy, tmp_path, case):
    change, expected = CASES[case]
    cfg = toy.config(tmp_path / 'run')
    change(cfg)
    found = '\n'.join(map(str, build_and_check(cfg, str(tmp_path / 'doctor'))))
    assert expected in found
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('levels', ['border', 'image'])
@pytest.mark.parametrize('case', ['no validation', 'a batch above the set'])
def test_a_schedule_that_cannot_be_is_one_error(toy, tmp_path, case, levels):
    change, expected = CASES[case]
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks = [dict(type='ASLPHook', levels=levels)]
    change(cfg)
    with pytest.raises(ValueError, match=expected):
        prepare_training(cfg)


def test_training_masks_without_an_object(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    masks = sorted((toy.root / 'train' / 'masks').iterdir())
    for path in masks[:-1]:
        Image.new('L', (16, 16)).save(path)
    assert not errors(cfg, tmp_path)
    Image.new('L', (16, 16)).save(masks[-1])
    assert 'none of 10 training masks has a pixel of foreground' in errors(
        cfg, tmp_path
    )
    with pytest.raises(ValueError, match='there is nothing to learn'):
        prepare_training(cfg)


def errors(cfg, tmp_path):
    findings = build_and_check(cfg, str(tmp_path / 'doctor'))
    return '\n'.join(f.message for f in findings if f.level == 'error')


def test_a_training_is_checked_once(toy, tmp_path, monkeypatch):
    calls = []
    found = run.check_run
    monkeypatch.setattr(run, 'check_run', lambda *args: calls.append(1) or found(*args))
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks.append(dict(type='CalibratorHook'))
    cfg.train_cfg.max_epochs = 2
    prepare_training(cfg).train()
    assert len(calls) == 1


def test_a_good_config(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', auxiliary=True)
    findings = build_and_check(cfg, str(tmp_path / 'doctor'))
    assert {f.level for f in findings} <= {'ok', 'note', 'warning'}
    assert [f.message for f in findings if f.level == 'warning'] == [
        '5 of the 5 test images are val images, such as '
        f'{toy.root.resolve()}/val/images/00.png: what is measured on them is not what '
        'the network does on unseen images'
    ]
    cfg.model.auxiliary_head.loss_decode = dict(
        type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.4
    )
    notes = build_and_check(cfg, str(tmp_path / 'doctor'))
    notes = [f for f in notes if f.level == 'note']
    assert any('all 10 training images hold an object' in f.message for f in notes)
    [note] = [f for f in notes if 'knows of no levels' in f.message]
    assert note.message.startswith('model.auxiliary_head: trains with CrossEntropyLoss')
    assert note.remedy == (
        'model = dict(auxiliary_head=dict(num_classes=2, out_channels=1, '
        "threshold=0.5, loss_decode=dict(_delete_=True, type='SCBCELoss', "
        'loss_weight=0.4)))'
    )


def test_lines_of_a_list_of_heads_can_be_pasted(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', channels=1)
    head = cfg.model.decode_head
    plain = dict(loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4))
    cfg.model.auxiliary_head = [{**head, **plain, 'num_classes': 2} for _ in range(2)]
    [found] = [f for f in build_and_check(cfg, str(tmp_path)) if 'knows of' in str(f)]
    assert found.message.startswith('model.auxiliary_head[0], model.auxiliary_head[1]:')
    pasted = {}
    exec(found.remedy, pasted)
    cfg.merge_from_dict({'model': pasted['model']})
    findings = build_and_check(cfg, str(tmp_path))
    assert not [f for f in findings if 'knows of no levels' in f.message]


def test_what_chance_and_few_iterations_do_is_said(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.randomness = dict(seed=None)
    cfg.custom_hooks = []
    said = ' '.join(map(str, build_and_check(cfg, str(tmp_path))))
    assert 'draws a seed of its own' in said
    assert 'iterations are few' in said
    assert 'its alpha is 0, so it is binary cross entropy' in said
    cfg.randomness = dict(seed=0)
    cfg.custom_hooks = [dict(type='ASLPHook', levels='image')]
    cfg.model.decode_head.loss_decode = dict(type='SCBCELoss', beta='SI')
    said = ' '.join(map(str, build_and_check(cfg, str(tmp_path))))
    assert 'draws a seed' not in said
    assert 'with the strength 1.5, as often as MC says' in said
