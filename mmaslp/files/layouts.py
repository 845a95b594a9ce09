"""The folder layouts in which salient-object sets are published."""

import os.path as osp
from dataclasses import dataclass
from pathlib import Path

# The set of the demo, which comes with the package.
NUCLEI = Path(__file__).with_name('nuclei')
# Every set may have these instead of its own.
FOLDERS = ('images', 'masks')


@dataclass(frozen=True)
class Layout:
    """Where a published set keeps its images and masks, and what to fetch."""

    fetch: str
    folders: tuple[str, str] = FOLDERS
    home: str = ''


LAYOUTS = {
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
    'folder': Layout('your images and masks, in two folders of those names'),
    'mmseg': Layout(
        'your data in the layout of mmseg (img_dir/train and ann_dir/train)',
        ('img_dir', 'ann_dir'),
    ),
}


def get_layout(name: str) -> Layout:
    """Look up a published layout."""
    if name not in LAYOUTS:
        raise ValueError(f'unknown layout {name!r}; known are {", ".join(LAYOUTS)}')
    return LAYOUTS[name]


def find_folders(
    root: str, layout: str = 'folder', split: str | None = None
) -> tuple[str, str]:
    """Find the image and the mask folder of a set on the local disk."""
    spec = get_layout(layout)
    tried = []
    for home in dict.fromkeys((spec.home, '')):
        for image, mask in dict.fromkeys((spec.folders, FOLDERS)):
            ways = [(image, mask)]
            if split is not None:
                ways = [(f'{split}/{image}', f'{split}/{mask}')]
                ways += [(f'{image}/{split}', f'{mask}/{split}')]
            for way in ways:
                wanted = [osp.join(home, part) for part in way]
                images, masks = (
                    osp.normpath(osp.join(root, folder)) for folder in wanted
                )
                if osp.isdir(images) and osp.isdir(masks):
                    return images, masks
                tried.append(' + '.join(wanted))

    state = '' if osp.isdir(root or '.') else ' (this folder does not exist)'
    raise FileNotFoundError(
        f'no {layout} data{f", split {split}," if split else ""} in '
        f'{osp.abspath(root or ".")}{state}. Looked there for {", ".join(tried)}. '
        f'Needed: {spec.fetch}. Unpack it there, or name the folders: '
        'data_prefix=dict(img_path=..., seg_map_path=...)'
    )
