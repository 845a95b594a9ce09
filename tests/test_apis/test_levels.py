import json

import numpy as np
import pytest

from mmaslp.apis.levels import Levels, level_summary, wrong_images

IDS = ['x/a/01.png', 'x/b/01.png', 'x/b/02.png', 'x/b/03.v2.png']


@pytest.mark.parametrize(
    ('names', 'rows'),
    [
        (['02'], [2]),
        (['02.png', 'a/01'], [0, 2]),
        (['x/b/01.png', '03.v2'], [1, 3]),
        ([], []),
    ],
)
def test_names_from_any_folder_on(tmp_path, names, rows):
    path = tmp_path / 'wrong.json'
    path.write_text(json.dumps({'wrong_masks': names}))
    wrong, unknown = wrong_images(str(path), IDS)
    assert np.flatnonzero(wrong).tolist() == rows and unknown == 0


def test_names_that_do_not_fit_one_image(tmp_path):
    path = tmp_path / 'wrong.txt'
    path.write_text('01\n')
    with pytest.raises(ValueError, match=r"'01' fits 2 images.*write more of its path"):
        wrong_images(str(path), IDS)
    path.write_text('02\n77\n')
    with pytest.raises(ValueError, match=r"1 names are no images .*\['77'\]"):
        wrong_images(str(path), IDS)
    wrong, unknown = wrong_images(str(path), IDS, complete=False)
    assert wrong.tolist() == [False, False, True, False] and unknown == 1


def test_summary():
    levels = Levels(IDS, np.array([0.0, 0.1, 0.2, 0.3]), dict(rule='FB'), 0)
    summary = level_summary(levels)
    assert (summary['num_images'], summary['min'], summary['max']) == (4, 0, 0.3)
    assert summary['mean'] == pytest.approx(0.15)
    assert summary['quantiles']['0.5'] == pytest.approx(0.15)
    assert summary['settings'] == dict(rule='FB') and 'wrong_masks' not in summary
    found = level_summary(levels, np.array([1, 0, 0, 0], bool))['wrong_masks']
    assert (found['num_wrong'], found['auroc']) == (1, 1)
    assert found['mean_wrong'] == 0 and found['mean_right'] == pytest.approx(0.2)
    nobody = level_summary(levels, np.zeros(4, bool))['wrong_masks']
    assert np.isnan(nobody['mean_wrong']) and np.isnan(nobody['auroc'])
