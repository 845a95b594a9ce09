import pytest

from mmaslp.files.splitting import Split

NAMES = [f'{i:02d}' for i in range(20)]


def test_parts_are_disjoint_and_repeat():
    parts = Split(test_ratio=0.3).divide(NAMES, [], 0.1, with_test=True)
    assert {part: len(names) for part, names in parts.items()} == {
        'train': 12,
        'val': 2,
        'test': 6,
    }
    assert sorted(name for part in parts.values() for name in part) == NAMES
    again = Split(test_ratio=0.3).divide(NAMES[::-1], [], 0.1, with_test=True)
    assert again == parts
    assert Split(seed=1, test_ratio=0.3).divide(NAMES, [], 0.1, True) != parts


def test_its_own_share_comes_first_and_empty_parts_are_left_out():
    assert len(Split(val_ratio=0.25).divide(NAMES, [], 0.1)['val']) == 5
    assert list(Split(val_ratio=0).divide(NAMES, [], 0.1)) == ['train']


def test_a_list_may_name_images_that_were_left_out(tmp_path):
    (tmp_path / 'val.txt').write_text('03.jpg\nbad\n')
    split = Split(str(tmp_path / 'val.txt'))
    assert split.divide(NAMES, ['bad'], 0.5)['val'] == ['03']
    with pytest.raises(ValueError, match='1 of 2 listed images are not in the source'):
        split.divide(NAMES, [], 0.5)


def test_nothing_to_train_on():
    with pytest.raises(ValueError, match='no image to train on'):
        Split().divide(NAMES[:1], [], 0.9)
    for ratios in ((1, 0), (-0.1, 0), (0.5, 0.5)):
        with pytest.raises(ValueError, match='leave something to train on'):
            Split(val_ratio=ratios[0], test_ratio=ratios[1]).check(with_test=True)
    Split(val_ratio=0.5, test_ratio=0.5).check(with_test=False)
