import os

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmaslp.hosts.mmseg.runs import build_runner, name_run


@RUNNERS.register_module()
class OwnRunner(Runner):
    """A runner that a config names."""


def test_names_differ_by_folder_and_purpose(tmp_path, monkeypatch):
    names = []
    for work_dir in ('a/run', 'b/run', 'b/run/'):
        cfg = Config(dict(work_dir=str(tmp_path / work_dir)))
        cfg.visualizer = dict(type='SegLocalVisualizer')
        name_run(cfg, 'test')
        assert cfg.visualizer.name == cfg.experiment_name
        names.append(cfg.experiment_name)
    assert names[0] != names[1] == names[2]
    assert all(n.startswith('run_') and n.endswith('_test') for n in names)
    monkeypatch.chdir(tmp_path)
    cfg.work_dir = os.path.join('b', 'run')
    name_run(cfg, 'test')
    assert cfg.experiment_name == names[1]


@pytest.mark.parametrize('kind', [None, 'OwnRunner'])
def test_runner_of_a_config(toy, tmp_path, kind):
    cfg = toy.config(tmp_path / 'run')
    if kind:
        cfg.runner_type = kind
    name_run(cfg, 'x')
    runner = build_runner(cfg)
    assert isinstance(runner, OwnRunner if kind else Runner)
