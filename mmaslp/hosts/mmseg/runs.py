"""Runs that share a process: their names and their runners."""

import hashlib
import os
import os.path as osp

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

__all__ = ['build_runner', 'name_run']


def name_run(cfg: Config, purpose: str) -> None:
    """Name a run, so it has its own logger, message hub and visualizer.

    MMEngine keeps these by name for the life of the process. A hash of the absolute
    path distinguishes work directories of the same name.
    """
    folder = osp.abspath(cfg.work_dir)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    cfg.experiment_name = f'{osp.basename(folder)}_{digest}_{purpose}'
    if cfg.get('visualizer') is not None:
        cfg.visualizer.name = cfg.experiment_name


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config, without leftovers of a run of the same name."""
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    return build(cfg)
