import pytest

from mmaslp.files.layouts import find_folders

NAMES = ['c', 'a.1', 'b']


@pytest.mark.parametrize(
    ('layout', 'images', 'masks'),
    [
        ('DUTS-TR', 'DUTS-TR/DUTS-TR-Image', 'DUTS-TR/DUTS-TR-Mask'),
        ('DUTS-TR', 'DUTS-TR-Image', 'DUTS-TR-Mask'),
        ('DUTS-TE', 'DUTS-TE/images', 'DUTS-TE/masks'),
        ('DUT-OMRON', 'DUT-OMRON/DUT-OMRON-image', 'DUT-OMRON/pixelwiseGT-new-PNG'),
        ('PASCAL-S', 'datasets/imgs/pascal', 'datasets/masks/pascal'),
        ('mmseg', 'img_dir', 'ann_dir'),
        ('folder', 'images', 'masks'),
        (None, 'images', 'masks'),
        (None, 'img_dir', 'ann_dir'),
        (None, 'DUTS-TR-Image', 'DUTS-TR-Mask'),
    ],
)
def test_published_layouts(tmp_path, layout, images, masks, write_pairs):
    write_pairs(tmp_path, NAMES, images, masks)
    found = find_folders(str(tmp_path), layout)
    assert found == (str(tmp_path / images), str(tmp_path / masks))


def test_missing_folder_says_where_it_looked_and_what_to_fetch(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        find_folders(str(tmp_path), 'DUTS-TE')
    for part in (str(tmp_path), 'DUTS-TE/DUTS-TE-Image', 'DUTS-TE.zip'):
        assert part in str(error.value)
    with pytest.raises(FileNotFoundError, match='folder that does not exist'):
        find_folders(str(tmp_path / 'nowhere'))
