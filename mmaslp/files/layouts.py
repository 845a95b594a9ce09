"""The folder layouts in which salient-object sets are published."""

import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .names import some

# The set of the demo, which comes with the package.
NUCLEI = Path(__file__).with_name('nuclei')
# Other names of a part.
_SYNONYMS = {'val': ('val', 'valid', 'validation')}
# Every set may have these instead of its own.
FOLDERS = ('images', 'masks')


@dataclass(frozen=True)
class Layout:
    """Where a published set keeps its images and masks, and what to fetch."""

    fetch: str
    folders: tuple[str, str] = FOLDERS
    home: str = ''


LAYOUTS = {
    'folder': Layout('your images and masks, in two folders of those names'),
    'mmseg': Layout(
        'your data in the layout of mmseg (img_dir/train and ann_dir/train)',
        ('img_dir', 'ann_dir'),
    ),
    'DUTS-TR': Layout(
        'DUTS-TR.zip, the training archive of the DUTS saliency data set',
        ('DUTS-TR-Image', 'DUTS-TR-Mask'),
        'DUTS-TR',
    ),
    'DUTS-TE': Layout(
        'DUTS-TE.zip, the test archive of the DUTS saliency data set',
        ('DUTS-TE-Image', 'DUTS-TE-Mask'),
        'DUTS-TE',
    ),
    'DUT-OMRON': Layout(
        'DUT-OMRON-image.zip and DUT-OMRON-gt-pixelwise.zip, images and masks',
        ('DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
        'DUT-OMRON',
    ),
    'PASCAL-S': Layout(
        'the PASCAL-S images and masks (salObj.zip holds both)',
        ('datasets/imgs/pascal', 'datasets/masks/pascal'),
        'PASCAL-S',
    ),
    'SOD': Layout(
        'the SOD data set (300 images of Berkeley) with its masks as images', home='SOD'
    ),
    'ECSSD': Layout(
        'images.zip and ground_truth_mask.zip of the ECSSD data set',
        ('images', 'ground_truth_mask'),
        'ECSSD',
    ),
    'HKU-IS': Layout(
        'the archive of the HKU-IS data set, with its folders imgs and gt',
        ('imgs', 'gt'),
        'HKU-IS',
    ),
}


def find_folders(
    root: str, layout: str | None = None, split: str | None = None
) -> tuple[str, str]:
    """Find the image and the mask folder of a set on the local disk.

    Without a layout they may have the names of any of them, in ``root`` itself.
    """
    if layout not in (None, *LAYOUTS):
        raise ValueError(f'unknown layout {layout!r}; known are {", ".join(LAYOUTS)}')
    layouts = list(LAYOUTS.values()) if layout is None else [LAYOUTS[layout]]
    tried = _places(layouts, split)
    for images, masks in tried:
        images = osp.normpath(osp.join(root, images))
        masks = osp.normpath(osp.join(root, masks))
        if osp.isdir(images) and osp.isdir(masks):
            return images, masks

    where = osp.abspath(root or '.')
    state = ''
    if osp.isfile(where):
        state = ', which is a file: name the folder of the set'
    elif not osp.isdir(where):
        state = ', a folder that does not exist'
    part = '' if split is None else f', split {split},'
    needed = '' if layout is None else f'\nneeded: {layouts[0].fetch}'
    looked = some([' + '.join(pair) for pair in tried], 4)
    raise FileNotFoundError(
        f'no {layout or "images and masks"}{part} in {where}{state}\n'
        f'looked there for {looked}{needed}'
    )


def _places(layouts: Sequence[Layout], split: str | None) -> list[tuple[str, str]]:
    """Where images and masks may lie below the root, the likeliest first."""
    pairs = dict.fromkeys([*(layout.folders for layout in layouts), FOLDERS])
    homes = dict.fromkeys([layouts[0].home, ''])
    orders = [('', '')]
    if split is not None:  # before or behind the folders of images and masks
        orders = []
        for name in _SYNONYMS.get(split, (split,)):
            orders += [(name, ''), ('', name)]

    places = []
    for home in homes:
        for pair in pairs:
            for before, after in orders:
                images, masks = (
                    osp.normpath(osp.join(home, before, folder, after))
                    for folder in pair
                )
                places.append((images, masks))
    return places
