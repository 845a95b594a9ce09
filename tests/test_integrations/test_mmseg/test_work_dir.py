import os

from mmaslp.integrations.mmseg.training import earlier_training, remove_training


def test_what_a_training_leaves(tmp_path):
    assert earlier_training(str(tmp_path / 'nowhere')) == []
    names = ['best_ece.pth', 'epoch_1.pth', 'iter_20.pth', 'last_checkpoint']
    for name in (*names, 'other.pth', 'epoch_x.pth', 'epoch_1.pth.bak'):
        (tmp_path / name).touch()
    assert earlier_training(str(tmp_path)) == [str(tmp_path / n) for n in names]
    os.remove(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').mkdir()  # sharded
    (tmp_path / 'epoch_1.pth' / 'x').touch()
    remove_training(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [
        'epoch_1.pth.bak',
        'epoch_x.pth',
        'other.pth',
    ]
