"""The commands of docs/nnunet.md for forty patients, on folders as nnU-Net leaves them.

Patients are toys of two slices each; nnU-Net itself is not needed.
"""

import csv
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp import Calibrator
from mmaslp.commands import main
from tests.test_files.test_nnunet_maps import softmax, write_set

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'nnunet.md'
RUN = Path('results/Dataset501_Person/nnUNetTrainer__nnUNetPlans__2d')


def lines_of_page():
    text = PAGE.read_text('utf-8').partition('## Forty patients')[2]
    return re.search(r'```sh\n(.*?)```', text, re.DOTALL)[1].splitlines()


def write_case(maps, labels, name, rng):
    """A disk that the map sees with noise."""
    grid = np.linspace(-1, 1, 32)
    centre = rng.uniform(-0.3, 0.3, 2)
    away = np.hypot(grid[:, None] - centre[0], grid - centre[1])
    label = away < 0.5
    logit = 8 * (0.5 - away) + rng.normal(0, 1.0, away.shape) + rng.normal(0, 0.5)
    softmax(maps, 1 / (1 + np.exp(-logit))[None]).rename(maps / f'{name}.npz')
    if labels is not None:
        Image.fromarray(label.astype(np.uint8)).save(labels / f'{name}.png')


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('nnUNet_results', 'results')
    monkeypatch.setenv('nnUNet_raw', 'raw')
    labels = Path('raw/Dataset501_Person/labelsTr')
    labels.mkdir(parents=True)
    RUN.mkdir(parents=True)
    names = {'background': 0, 'person': 1}
    for place in (RUN, Path('maps')):
        write_set(place, names, 'NaturalImage2DIO')

    rng = np.random.default_rng(0)
    for patient in range(40):
        maps = RUN / f'fold_{patient % 5}' / 'validation'
        maps.mkdir(parents=True, exist_ok=True)
        for number in range(2):
            write_case(maps, labels, f'p{patient:02}_{number}', rng)
    for number in range(12):
        write_case(Path('maps'), None, f'new_{number}', rng)


def test_from_folders_to_a_calibrator_a_review_and_a_page(folders):
    for line in lines_of_page():
        if line.startswith('mmaslp'):
            shown = subprocess.run(
                ['sh', '-c', f'RUN={RUN}; printf "%s\\n" {line}'],
                check=True,
                capture_output=True,
                text=True,
            )
            assert main(shown.stdout.splitlines()[1:]) == 0
        elif not line.startswith('RUN='):
            command = f'RUN={RUN}; {line}'
            subprocess.run(['sh', '-c', command], check=True)

    record = Calibrator.load('calibrator.json').record
    assert record['images'] == 80
    assert record['groups'] == 40
    rows = Path('review.csv').read_text('utf-8').splitlines()
    assert len([*csv.DictReader(rows)]) == 12
    assert '<html' in Path('review.html').read_text('utf-8')
    assert json.loads(Path('calibrator.json').read_text())['decisions'] is not None
