import json
from pathlib import Path

import pytest

from tests.scripts import run_script

SCRIPTS = Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture
def folders(tmp_path, image_folder):
    """A data set of 6, 4 and 3 images, and one of 2 images as out of distribution."""
    for split, number in (('train', 6), ('val', 4), ('test', 3)):
        image_folder(tmp_path / 'set' / split, number, seed=len(split))
    image_folder(tmp_path / 'ood' / 'test', 2, seed=9)
    return tmp_path


@pytest.fixture
def call(folders):
    """Run a script of the benchmark on these; gives its output and its records."""

    def call(script, *options):
        given = ['--data', folders / 'set', '--out', folders / 'out']
        done = run_script(
            SCRIPTS / script, *given, '--json', folders / 'raw.json', *options
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, json.loads((folders / 'raw.json').read_text())

    return call
