from mmaslp import SODDataset
from mmaslp.commands import run_command
from tests.toy import write_images


def test_every_option_reaches_the_package(tmp_path, capsys):
    root = tmp_path / 'mine'
    write_images(root, 10, seed=0)
    options = ['--val-ratio', '0.2', '--test-ratio', '0.4', '--seed', '3']
    assert run_command('prepare', [str(root), *options]) == 0
    printed = capsys.readouterr().out
    assert f'test: 4 images, listed in {root}/test.txt' in printed
    sizes = [len(SODDataset(str(root), split=s)) for s in ('train', 'val', 'test')]
    assert sizes == [4, 2, 4]


def test_problems_are_messages(tmp_path, capsys):
    assert run_command('prepare', [str(tmp_path), '--layout', 'HKU-IS']) == 2
    assert 'error: no HKU-IS in' in capsys.readouterr().err


def test_a_divided_set_says_how_it_is_divided_anew(tmp_path, capsys):
    write_images(tmp_path / 'mine', 10, seed=0)
    for again in (False, True):
        assert run_command('prepare', [str(tmp_path / 'mine')]) == 0
        assert ('--overwrite' in capsys.readouterr().out) == again


def test_the_list_of_validation_is_not_a_division(tmp_path, capsys):
    root = tmp_path / 'mine'
    write_images(root, 10, seed=0)
    (root / 'val.txt').write_text('00.png\n')
    args = [str(root), '--val-list', str(root / 'val.txt')]
    assert run_command('prepare', args) == 2
    assert 'such as val.txt, elsewhere' in capsys.readouterr().err
    (root / 'val.txt').rename(tmp_path / 'val.txt')
    assert run_command('prepare', [*args[:2], str(tmp_path / 'val.txt')]) == 0
    assert (root / 'val.txt').read_text().split() == ['00']
