"""The page in a browser: accessibility, keyboard, width, policy.

Needs chromium, node, and playwright-core and axe-core in a folder of node modules:
``npm install playwright-core axe-core``, then ``NODE_PATH=.../node_modules``.
"""

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.report import report_html

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def tools():
    """Paths of node, chromium and the modules, or a skip."""
    node = shutil.which('node')
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    folders = [
        *os.environ.get('NODE_PATH', '').split(os.pathsep),
        '/tmp/node/node_modules',
    ]
    modules = [
        folder
        for folder in filter(None, folders)
        if all(Path(folder, name).is_dir() for name in ('playwright-core', 'axe-core'))
    ]
    if not (node and browser and modules):
        pytest.skip(
            'needs node, chromium, and playwright-core and axe-core in NODE_PATH'
        )
    return node, browser, modules[0]


pytestmark = pytest.mark.release


@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    node, browser, modules = tools()
    path = tmp_path_factory.mktemp('page') / 'report.html'
    options = dict(with_pictures=True, number=3)
    models = [
        helper.entry('<b>A', gain=0.6, **options),
        helper.entry('B', gain=2.0, **options),
        helper.entry('B', 'other', seed=1, number=3),
    ]
    path.write_text(report_html(helper.report(*models), 20), encoding='utf-8')
    script = Path(__file__).with_name('browser.js')
    done = subprocess.run(
        [node, script, modules, browser, path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_violation_no_error_no_request_no_sideways_scrolling(seen):
    for look in seen['looks']:
        assert look['violations'] == []
        assert look['errors'] == []
        assert set(look['asked']) <= {'file:', 'data:'}
        assert look['wide'] <= 0


def test_tables_sort_by_keyboard(seen):
    used = seen['used']
    assert len(used['ascending']) == 4  # three results and the mean of B
    assert used['ascending'] == sorted(used['ascending'])
    assert used['descending'] == used['ascending'][::-1]
    assert used['sorted'] == 'descending'
    assert used['baselines'] == [used['last']]


def test_values_and_pictures_by_keyboard(seen):
    used = seen['used']
    # The second mark of the overlay: the first model, its second bin.
    assert used['value'].startswith('<b>A, 0.6–0.7: confidence 0.6')
    assert used['first'].startswith('mask: ')
    assert used['second'].startswith('<b>A, probability: ')
    assert used['open'] is False


def test_policy_admits_no_other_script(seen):
    assert seen['used']['injected'] is False
    assert seen['used']['pdf'] > 10_000
