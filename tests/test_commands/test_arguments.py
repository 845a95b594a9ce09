import argparse
import os

from mmaslp.commands.arguments import add_host_arguments, set_local_rank


def test_arguments_of_the_host(monkeypatch):
    parser = argparse.ArgumentParser()
    add_host_arguments(parser)
    options = ['--cfg-options', 'a.b=1', 'c=[x,y]', '--local-rank', '3']
    args = parser.parse_args(['--work-dir', 'w', '--launcher', 'pytorch', *options])
    assert args.cfg_options == {'a.b': 1, 'c': ['x', 'y']}
    assert (args.work_dir, args.launcher) == ('w', 'pytorch')
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    set_local_rank(args)
    assert os.environ['LOCAL_RANK'] == '3'
    monkeypatch.setenv('LOCAL_RANK', '5')
    set_local_rank(args)
    assert os.environ['LOCAL_RANK'] == '5'
