"""The doctor builds a config and checks what was built."""

import pytest

from mmaslp.hosts.mmseg.doctor import build_and_check


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


def test_a_good_config(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', auxiliary=True)
    findings = build_and_check(cfg, str(tmp_path / 'doctor'))
    assert {f.level for f in findings} <= {'note', 'warning'}
    assert [f.message for f in findings if f.level == 'warning'] == [
        '5 of the 5 test images are val images, such as '
        f'{toy.root.resolve()}/val/images/00.png: what is measured on them is not what '
        'the network does on unseen images'
    ]
    cfg.model.auxiliary_head.loss_decode = dict(
        type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.4
    )
    notes = build_and_check(cfg, str(tmp_path / 'doctor'))
    (note,) = [f for f in notes if f.level == 'note']
    assert note.message.startswith('model.auxiliary_head trains with CrossEntropyLoss')
    assert note.remedy == (
        'model.auxiliary_head = dict(num_classes=2, out_channels=1, threshold=0.5, '
        "loss_decode=dict(_delete_=True, type='SCBCELoss', loss_weight=0.4))"
    )
