import runpy
from pathlib import Path

import numpy as np
import pytest

from mmaslp.core.measure import BandTable, ImageBands

# Not importable by name under pytest's importlib mode.
scene = runpy.run_path(Path(__file__).with_name('scenes.py'))['scene']


def tables(number=4):
    found = []
    for seed in range(number):
        table = BandTable()
        table.update(*scene(40 + 9 * seed, 50, seed))
        found.append(table)
    return found


def joined(own):
    return ImageBands.from_rows([ImageBands.row(table) for table in own])


def test_images_add_up_to_their_table():
    own, whole = tables(), BandTable()
    for table in own:
        whole.merge(table)
    images = joined(own)
    assert images.num_pixels.tolist() == [table.count for table in own]
    for k, border in enumerate(('predicted', 'true')):
        for key in ('count', 'correct', 'conf'):
            expected = getattr(whole.table(border), key)
            assert np.array_equal(getattr(images.pooled(), key)[k], expected)


@pytest.mark.parametrize(
    'damage',
    [
        lambda content: content['edges'].pop(),
        lambda content: content['sums'][0][0].pop(),
        lambda content: content['sums'][0].pop(),
        lambda content: content['sums'][0][1][4].__setitem__(0, 0.5),
    ],
)
def test_damaged_bands_are_refused(damage):
    content = joined(tables()).to_json()
    damage(content)
    with pytest.raises(ValueError, match='bands'):
        ImageBands.from_json(content)
