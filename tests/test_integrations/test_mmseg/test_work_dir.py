import os
from types import SimpleNamespace

import pytest

from mmaslp.integrations.mmseg.training import ReplaceHook, _latest, earlier_training


def test_what_a_training_leaves(tmp_path):
    assert earlier_training(str(tmp_path / 'nowhere')) == []
    names = ['best_calib_ece_epoch_1.pth', 'epoch_1.pth', 'iter_20.pth']
    names.append('last_checkpoint')
    for name in (*names, 'best_model.pth', 'epoch_x.pth', 'epoch_1.pth.bak'):
        (tmp_path / name).touch()
    assert earlier_training(str(tmp_path)) == [str(tmp_path / n) for n in names]
    os.remove(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').mkdir()  # sharded
    (tmp_path / 'epoch_1.pth' / 'x').touch()
    hook = ReplaceHook()
    hook.before_save_checkpoint(SimpleNamespace(work_dir=str(tmp_path)), {})
    assert sorted(os.listdir(tmp_path)) == [
        'best_model.pth',
        'epoch_1.pth.bak',
        'epoch_x.pth',
    ]
    (tmp_path / 'epoch_1.pth').touch()  # of the new training
    hook.before_save_checkpoint(SimpleNamespace(work_dir=str(tmp_path)), {})
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_a_damaged_last_checkpoint_is_named(tmp_path):
    (tmp_path / 'last_checkpoint').write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='last_checkpoint: is not the path of a check'):
        _latest(str(tmp_path))
