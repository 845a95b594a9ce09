import os

import pytest

from mmaslp.integrations.mmseg.training import _latest
from mmaslp.integrations.mmseg.work_dir import Takeover, earlier_training


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
    takeover = Takeover(earlier_training(str(tmp_path)))
    (tmp_path / 'iter_20.pth').write_bytes(b'of the new training')
    takeover.run({str(tmp_path.resolve() / 'iter_20.pth')})
    left = ['best_model.pth', 'epoch_1.pth.bak', 'epoch_x.pth', 'iter_20.pth']
    assert sorted(os.listdir(tmp_path)) == left
    takeover.run(())
    assert sorted(os.listdir(tmp_path)) == left  # once only


def test_a_damaged_last_checkpoint_is_named(tmp_path):
    (tmp_path / 'last_checkpoint').write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='last_checkpoint: is not the path of a check'):
        _latest(str(tmp_path))
