"""Fixtures; what needs a host stands in ``toy.py``, so that the core runs without."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from markupsafe import Markup

try:
    from hypothesis import settings
except ImportError:
    pass
else:  # a loaded machine is slow, and speed is not what these tests are about
    settings.register_profile('patient', deadline=None)
    settings.load_profile('patient')

SHARED = Path(__file__).resolve().parents[2] / 'shared'


@pytest.fixture(scope='session')
def shared():
    """The team's shared folder beside the repository, if there is one."""
    if not SHARED.is_dir():
        pytest.skip(f'needs {SHARED}, which is not part of the repository')
    return SHARED


@pytest.fixture(autouse=True)
def no_run_goes_on():
    """A training that raised leaves its stage to the metrics of the next test."""
    yield
    if 'mmengine.logging' in sys.modules:
        from mmengine.logging import MessageHub

        MessageHub.get_current_instance().pop_info('loop_stage')


@pytest.fixture(autouse=True, scope='module')
def what_is_imported_is_no_garbage():
    """Each data set of MMEngine collects garbage: half the time of the suite."""
    yield
    gc.freeze()


def pytest_configure():
    # Several tests fork. Once OpenMP has threads, its next loop in a child never ends.
    torch.set_num_threads(1)
    # A shell starts jobs in the background deaf to Ctrl-C; the tests of it need it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collectstart():
    # What is imported while tests are collected is no garbage.
    gc.disable()
    # MMSegmentation imports it, in a second, for a backbone that no test builds.
    sys.modules.setdefault('timm', None)


def pytest_collection_finish():
    if sys.modules.get('timm') is None:
        sys.modules.pop('timm', None)
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason='needs a CUDA device')
    for item in items:
        if 'gpu' in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    from tests.toy import Toy

    # Paths seed the draws: relative ones make them the same in every run of the tests.
    monkeypatch.chdir(tmp_path)
    return Toy(Path('toy'))


@pytest.fixture
def image_folder():
    """Write a folder of images and masks: ``(folder, num_images, seed, size=16)``."""
    from tests.toy import write_images

    return write_images


@pytest.fixture
def plain_charts(monkeypatch):
    """Pages have the label of each diagram alone: to lay one out takes 0.2 s."""
    from mmaslp.report import page

    chart = Markup('<svg class="chart" aria-label="{}"></svg>')
    monkeypatch.setattr(page, 'figure_svg', lambda _, label, place: chart.format(label))


@pytest.fixture(autouse=True)
def local_rank(monkeypatch):
    """Commands set it for launchers, and accelerate would then look for a group."""
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    yield
    os.environ.pop('LOCAL_RANK', None)
