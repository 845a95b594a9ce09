"""Runs that share a process: their names and their runners."""

import hashlib
import os
import os.path as osp

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

__all__ = ['build_runner', 'name_run']


def name_run(cfg: Config, purpose: str) -> None:
    """Name a run, so that it has a logger, a message hub and a visualizer of its own.

    The host keeps these by name for the life of the process. Work directories of the
    same name are told apart by a hash of the absolute path.

    Args:
        cfg (Config): Config with ``work_dir`` set. Its ``experiment_name`` and the
            name of its visualizer are changed.
        purpose (str): What the run is for, the end of the name.
    """
    folder = osp.abspath(cfg.work_dir)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    cfg.experiment_name = f'{osp.basename(folder)}_{digest}_{purpose}'
    if cfg.get('visualizer') is not None:
        cfg.visualizer.name = cfg.experiment_name


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config, without what a run of the same name has left.

    Args:
        cfg (Config): The config.
    """
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    runner = build(cfg)
    # Of a test that ended with an error: nothing divides by it any more.
    runner.message_hub.pop_info('temperature')
    return runner
