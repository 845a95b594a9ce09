import os

import pytest

from mmaslp.commands import test
from mmaslp.commands.arguments import CommandParser, add_run_options, prepare_launcher


def parse(*words):
    parser = CommandParser(prog='mmaslp x')
    add_run_options(parser)
    return parser.parse_args(words)


def test_arguments_of_the_host(monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cuda')
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '0')
    options = ['--cfg-options', 'a.b=1', 'c=[x,y]', 'd=e=f', '--local-rank', '3']
    args = parse('--work-dir', 'w', '--launcher', 'pytorch', *options)
    assert args.cfg_options == {'a.b': 1, 'c': ['x', 'y'], 'd': 'e=f'}
    assert (args.work_dir, args.launcher) == ('w', 'pytorch')
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    prepare_launcher(args.launcher, args.local_rank)
    assert os.environ['LOCAL_RANK'] == '3'
    monkeypatch.delenv('LOCAL_RANK')
    for name in ('RANK', 'SIZE', 'LOCAL_RANK'):
        monkeypatch.setenv(f'OMPI_COMM_WORLD_{name}', '1')
    prepare_launcher('mpi', 0)
    assert os.environ['LOCAL_RANK'] == '1'
    monkeypatch.setenv('LOCAL_RANK', '5')
    prepare_launcher(args.launcher, args.local_rank)
    assert os.environ['LOCAL_RANK'] == '5'


def test_only_a_launcher_needs_variables_and_a_gpu(monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    monkeypatch.setenv('LOCAL_RANK', '0')
    prepare_launcher('none', 0)
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(ValueError, match='MMEngine gives each process a GPU'):
        prepare_launcher('pytorch', 0)
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    with pytest.raises(ValueError, match=r'SLURM_PROCID.* start with `srun'):
        prepare_launcher('slurm', 0)


def test_a_home_that_a_shell_leaves_as_it_is(monkeypatch):
    monkeypatch.setenv('HOME', '/home/me')
    parser = CommandParser(prog='mmaslp x')
    add_run_options(parser)
    for given, meant in (('~/x', '/home/me/x'), ('~x/y', '~x/y'), ('a/~', 'a/~')):
        args = parser.parse_args([f'--work-dir={given}'])
        parser.check(args)
        assert args.work_dir == meant


def test_an_option_of_many_values_given_twice():
    options = ['--cfg-options', 'a=1', 'b=1', '--cfg-options', 'b=2', 'c=3']
    assert parse(*options).cfg_options == {'a': 1, 'b': 2, 'c': 3}
    parser = CommandParser(prog='mmaslp test')
    test.add_arguments(parser)
    words = ['--eval', 'ece', '--sets', 'a', '--eval', 'iou', '--sets', 'b']
    args = parser.parse_args(['config', 'checkpoint', *words])
    assert (args.eval, args.sets) == (['ece', 'iou'], ['a', 'b'])


@pytest.mark.parametrize('word', ['a', 'a=[1,(2]'])
def test_options_that_do_not_parse(word, capsys):
    with pytest.raises(SystemExit):
        parse('--cfg-options', word)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'error: --cfg-options {word}: ')


def test_folders_after_an_option_of_many_values(capsys):
    parser = CommandParser(prog='mmaslp x')
    parser.add_argument('maps')
    parser.add_argument('--limit', nargs='+')
    with pytest.raises(SystemExit):
        parser.parse_args(['--limit', 'ece=.1', 'maps'])
    assert 'before options' in capsys.readouterr().err
