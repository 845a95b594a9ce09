import numpy as np
import pytest
from PIL import Image

from mmaslp.evaluation.map_folders import read_images, set_name
from mmaslp.files.prob_maps import MapReader, write_prob_map


@pytest.fixture
def folders(tmp_path):
    """Two maps and their masks."""
    rng = np.random.default_rng(0)
    for folder in ('maps', 'masks'):
        (tmp_path / folder).mkdir()
    for name in 'ab':
        prob, mask = rng.random((6, 5)), rng.random((6, 5)) < 0.5
        write_prob_map(tmp_path / 'maps' / f'{name}.png', prob)
        Image.fromarray(mask.astype(np.uint8) * 255).save(
            tmp_path / 'masks' / f'{name}.png'
        )
    return tmp_path / 'maps', tmp_path / 'masks'


def test_maps_are_read_again(folders):
    maps, masks = folders
    found = read_images(maps, masks, ['b'], 'raw')
    assert list(found) == ['b']
    prob = MapReader().read(maps / 'b.png')
    assert (found['b']['prob'] == prob).all()
    assert (
        found['b']['label'] == (np.asarray(Image.open(masks / 'b.png')) > 127)
    ).all()
    (maps / 'b.png').unlink()
    with pytest.raises(ValueError, match=r'b: neither .* may change'):
        read_images(maps, masks, ['b'], 'raw')


@pytest.mark.parametrize(
    ('folder', 'name'),
    [
        ('/data/ECSSD/gt', 'ECSSD'),
        ('/data/x/GT/masks', 'x'),
        ('/data/DUTS-TE-Mask', 'DUTS-TE-Mask'),
        ('/gt', 'gt'),
    ],
)
def test_a_set_is_not_called_after_its_masks(folder, name):
    assert set_name(folder) == name
