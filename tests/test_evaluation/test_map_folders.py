import pytest

from mmaslp.evaluation.map_folders import set_name


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
