"""Run scripts as the command line does, without seconds of imports for each.

Each script runs in a child that is forked from the tests, with what these imported.
Where there is a CUDA device, which does not survive a fork, children start afresh.
"""

import importlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import torch

_PROCESSES = multiprocessing.get_context(
    'spawn' if torch.cuda.is_available() else 'fork'
)


def make_host_cheap():
    """Leave out what takes most of a small run and what no test looks at.

    Configs are dumped without layout (yapf's), data sets that are built collect no
    garbage, and all visualizers draw into one figure, which they clear before.
    """
    from mmengine.config import config
    from mmengine.dataset import base_dataset
    from mmengine.visualization import Visualizer
    from yapf.yapflib import yapf_api

    for module in (config, yapf_api):  # one host imports it late, the other early
        module.FormatCode = lambda text, **style: (text, True)

    base_dataset.gc = SimpleNamespace(collect=int)
    if not hasattr(Visualizer, 'figure_of_all'):
        Visualizer.figure_of_all = Visualizer._initialize_fig(None, dict(frameon=False))
        Visualizer._initialize_fig = lambda self, options: self.figure_of_all


def forget_other_runs():
    """Loggers, visualizers and warnings of the tests are none of a script."""
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    managers = [MessageHub, MMLogger, DefaultScope, Visualizer]
    managers += Visualizer.__subclasses__()
    for manager in managers:
        manager._instance_dict.clear()
    importlib.reload(warnings)
    warnings.resetwarnings()


def _execute(argv, cwd, environment, out):
    for number, name in ((1, 'stdout'), (2, 'stderr')):
        file = os.open(out / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = os.fdopen(1, 'w'), os.fdopen(2, 'w')  # not pytest's
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    make_host_cheap()
    forget_other_runs()
    sys.argv = argv
    sys.path.insert(0, str(Path(argv[0]).parent))
    runpy.run_path(argv[0], run_name='__main__')


class Script:
    """A script that runs; ``wait`` gives what ``subprocess.run`` would."""

    def __init__(self, path, *args, cwd='.', **env):
        self.args = [str(Path(path).resolve()), *map(str, args)]
        self.out = tempfile.TemporaryDirectory()
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', **env}
        self.process = _PROCESSES.Process(
            target=_execute,
            args=(self.args, str(cwd), environment, Path(self.out.name)),
        )
        self.process.start()

    def wait(self, timeout=300):
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        with self.out:
            said = [
                (Path(self.out.name) / name).read_text()
                for name in ('stdout', 'stderr')
            ]
        return subprocess.CompletedProcess(self.args, self.process.exitcode, *said)


def run_script(path, *args, cwd='.', **env):
    return Script(path, *args, cwd=cwd, **env).wait()
