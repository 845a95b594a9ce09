import json

import numpy as np
import pytest

from mmaslp.apis.level_report import describe_summary, show_levels
from mmaslp.apis.levels import Levels, level_summary
from mmaslp.apis.training import prepare_training


def summary_of(alpha, wrong=None):
    ids = [f'{i}.png' for i in range(len(alpha))]
    return level_summary(Levels(ids, np.array(alpha), {}, 0), wrong)


def test_description():
    lines = describe_summary(summary_of([0.0, 0.1, 0.2])).splitlines()
    assert lines[0] == ('3 images, mean level 0.10000, standard deviation 0.08165')
    assert '50% 0.10000' in lines[1] and len(lines) == 2
    assert 'all levels are equal' in describe_summary(summary_of([0.1, 0.1]))
    wrong = np.array([True, False, False])
    found = describe_summary(summary_of([0.0, 0.1, 0.2], wrong)).splitlines()[2]
    assert found.startswith('1 wrong masks, mean level 0.00000 against 0.15000')
    assert 'AUROC 1.0000' in found


def test_from_python(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    prepare_training(cfg).train()
    checkpoint = str(tmp_path / 'run' / 'epoch_3.pth')
    cfg.train_dataloader.dataset.indices = 6
    lines = []
    shown = show_levels(cfg, checkpoint, num=2, report=lines.append)
    assert lines == ['4 images of the checkpoint are not in the config']
    assert shown.folder == str(tmp_path / 'run' / 'levels')
    written = json.loads((tmp_path / 'run' / 'levels' / 'levels.json').read_text())
    assert written['num_images'] == shown.summary['num_images'] == 6
    with pytest.raises(ValueError, match='--num must be 1 or more, not 0'):
        show_levels(cfg, checkpoint, num=0)
