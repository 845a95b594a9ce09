"""The folder layouts in which salient-object sets are published."""

import os
import os.path as osp
from dataclasses import dataclass

# Spellings of the two folders in redistributed copies; compared without case.
IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'im')
MASK_FOLDERS = ('masks', 'mask', 'gt', 'ground_truth_mask', 'gts')
COMMON_FOLDERS = (
    *((image, mask) for image in IMAGE_FOLDERS for mask in MASK_FOLDERS),
    ('imgs', 'imgs'),  # .jpg images and .png masks side by side
)


@dataclass(frozen=True)
class Layout:
    """Where a published set keeps its images and masks, and what to fetch."""

    fetch: str
    homes: tuple[str, ...] = ()
    folders: tuple[tuple[str, str], ...] = ()

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of image and mask folder in the order in which they are tried."""
        return (*self.folders, *(p for p in COMMON_FOLDERS if p not in self.folders))


LAYOUTS = {
    'DUTS-TR': Layout(
        'DUTS-TR.zip, the training archive of the DUTS saliency data set',
        homes=('DUTS-TR', 'DUTS/DUTS-TR', 'DUTS'),
        folders=(('DUTS-TR-Image', 'DUTS-TR-Mask'),),
    ),
    'DUTS-TE': Layout(
        'DUTS-TE.zip, the test archive of the DUTS saliency data set',
        homes=('DUTS-TE', 'DUTS/DUTS-TE', 'DUTS'),
        folders=(('DUTS-TE-Image', 'DUTS-TE-Mask'),),
    ),
    'DUT-OMRON': Layout(
        'DUT-OMRON-image.zip and DUT-OMRON-gt-pixelwise.zip, images and masks',
        homes=('DUT-OMRON', 'DUTOMRON', 'OMRON'),
        folders=(
            ('DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
            ('DUT-OMRON-image/DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
        ),
    ),
    'PASCAL-S': Layout(
        'the PASCAL-S images and masks (salObj.zip holds both)',
        homes=('PASCAL-S', 'PASCALS', 'PASCAL', 'salObj'),
        folders=(
            ('images', 'masks'),
            ('datasets/imgs/pascal', 'datasets/masks/pascal'),
            ('imgs/pascal', 'masks/pascal'),
        ),
    ),
    'SOD': Layout(
        'the SOD data set (300 images of Berkeley) with its masks as images',
        homes=('SOD',),
    ),
    'ECSSD': Layout(
        'images.zip and ground_truth_mask.zip of the ECSSD data set',
        homes=('ECSSD',),
        folders=(('images', 'ground_truth_mask'),),
    ),
    'HKU-IS': Layout(
        'the archive of the HKU-IS data set, with its folders imgs and gt',
        homes=('HKU-IS', 'HKUIS'),
        folders=(('imgs', 'gt'),),
    ),
    'folder': Layout('your images and masks, in two folders of those names'),
    'mmseg': Layout(
        'your data in the layout of mmseg (img_dir/train and ann_dir/train)',
        folders=(('img_dir', 'ann_dir'), ('images', 'annotations')),
    ),
}


def get_layout(name: str) -> Layout:
    """Look up a published layout."""
    if name not in LAYOUTS:
        raise ValueError(f'unknown layout {name!r}; known are {", ".join(LAYOUTS)}')
    return LAYOUTS[name]


def find_folders(
    root: str,
    layout: str = 'folder',
    split: str | None = None,
) -> tuple[str, str]:
    """Find the image and the mask folder of a set on the local disk."""
    spec = get_layout(layout)
    tried = []  # pairs of folders; the first of each home is the usual spelling
    for home in (*spec.homes, ''):
        for image, mask in spec.pairs():
            ways = [(image, mask)]
            if split is not None:
                ways = [(f'{split}/{image}', f'{split}/{mask}')]
                ways += [(f'{image}/{split}', f'{mask}/{split}')]
            for way in ways:
                wanted = [osp.normpath(osp.join(home, part)) for part in way]
                images, masks = (_resolve(root, part) for part in wanted)
                if images and masks:
                    return images, masks
                tried.append(wanted)
    usual = tried[:: len(tried) // (len(spec.homes) + 1)]
    shown = ', '.join(f'{image} + {mask}' for image, mask in usual)
    state = '' if osp.isdir(root) else ' (this folder does not exist)'
    raise FileNotFoundError(
        f'no {layout} data{f", split {split}," if split else ""} in '
        f'{osp.abspath(root or ".")}{state}. Looked there for {shown} and '
        f'{len(tried) - len(usual)} further spellings. Needed: {spec.fetch}. '
        'Unpack it there, or name the folders: '
        'data_prefix=dict(img_path=..., seg_map_path=...)'
    )


def _resolve(root: str, relative: str) -> str | None:
    """Find a folder whose spelling may differ in case; None if it does not exist."""
    path = root or '.'
    if not osp.isdir(path):
        return None
    for part in relative.split(os.sep):
        entries = sorted(os.listdir(path))
        if part not in entries:
            entries = [entry for entry in entries if entry.lower() == part.lower()]
            if not entries:
                return None
            part = entries[0]
        path = osp.join(path, part)
        if not osp.isdir(path):
            return None
    return osp.normpath(path)
