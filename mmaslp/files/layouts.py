"""The folder layouts in which salient-object sets are published."""

import os
import os.path as osp
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ['LAYOUTS', 'Layout', 'find_folders', 'get_layout']

# Spellings of the two folders in redistributed copies; compared without case.
IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'im')
MASK_FOLDERS = ('masks', 'mask', 'gt', 'ground_truth_mask', 'gts')
COMMON_FOLDERS = (
    *((image, mask) for image in IMAGE_FOLDERS for mask in MASK_FOLDERS),
    ('imgs', 'imgs'),  # .jpg images and .png masks side by side
)


@dataclass(frozen=True)
class Layout:
    """Where a published set keeps its images and masks."""

    folders: tuple[tuple[str, str], ...] = ()
    homes: tuple[str, ...] = ()
    images: int | None = None
    archives: tuple[str, ...] = ()
    fetch: str = field(default='', compare=False)
    graded: bool = False

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of image and mask folder in the order in which they are tried."""
        return (*self.folders, *(p for p in COMMON_FOLDERS if p not in self.folders))


LAYOUTS = {
    'DUTS-TR': Layout(
        folders=(('DUTS-TR-Image', 'DUTS-TR-Mask'),),
        homes=('DUTS-TR', 'DUTS/DUTS-TR', 'DUTS'),
        images=10553,
        archives=('duts-tr*',),
        fetch='DUTS-TR.zip, the training archive of the DUTS saliency data set',
    ),
    'DUTS-TE': Layout(
        folders=(('DUTS-TE-Image', 'DUTS-TE-Mask'),),
        homes=('DUTS-TE', 'DUTS/DUTS-TE', 'DUTS'),
        images=5019,
        archives=('duts-te*',),
        fetch='DUTS-TE.zip, the test archive of the DUTS saliency data set',
    ),
    'DUT-OMRON': Layout(
        folders=(
            ('DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
            ('DUT-OMRON-image/DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
        ),
        homes=('DUT-OMRON', 'DUTOMRON', 'OMRON'),
        images=5168,
        archives=('dut-omron*',),
        fetch='DUT-OMRON-image.zip and DUT-OMRON-gt-pixelwise.zip, images and '
        'pixel-wise masks of the DUT-OMRON data set',
    ),
    'PASCAL-S': Layout(
        folders=(
            ('images', 'masks'),
            ('datasets/imgs/pascal', 'datasets/masks/pascal'),
            ('imgs/pascal', 'masks/pascal'),
        ),
        homes=('PASCAL-S', 'PASCALS', 'PASCAL', 'salObj'),
        images=850,
        archives=('salobj*', 'pascal-s*'),
        fetch='the PASCAL-S images and masks (salObj.zip holds both)',
        graded=True,
    ),
    'SOD': Layout(
        homes=('SOD',),
        images=300,
        archives=('sod.*',),
        fetch='the SOD data set (300 images of the Berkeley segmentation data) '
        'with its masks as images',
    ),
    'ECSSD': Layout(
        folders=(('images', 'ground_truth_mask'),),
        homes=('ECSSD',),
        images=1000,
        archives=('ecssd*', 'images.*', 'ground_truth_mask.*'),
        fetch='images.zip and ground_truth_mask.zip of the ECSSD data set',
    ),
    'HKU-IS': Layout(
        folders=(('imgs', 'gt'),),
        homes=('HKU-IS', 'HKUIS'),
        images=4447,
        archives=('hku-is*',),
        fetch='the archive of the HKU-IS data set, with its folders imgs and gt',
    ),
    'DTD-500': Layout(
        homes=('DTD-500', 'DTD_Texture_500', 'DTD'),
        images=500,
        archives=('dtd*',),
        fetch='the Describable Textures Dataset (dtd-r1.0.1.tar.gz), from which '
        'mmaslp prepare takes 500 images by list',
    ),
    'folder': Layout(fetch='your images and masks, in two folders of those names'),
    'mmseg': Layout(
        folders=(('img_dir', 'ann_dir'), ('images', 'annotations')),
        fetch='your data in the layout of mmseg (img_dir/train and ann_dir/train)',
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
    need_masks: bool = True,
) -> tuple[str, str | None]:
    """Find the image and the mask folder of a set on the local disk."""
    spec = get_layout(layout)
    tried = []  # pairs of folders; the first of each home is the usual spelling
    for home in (*spec.homes, ''):
        for pair in spec.pairs():
            for image, mask in _with_split(pair, split):
                wanted = [osp.normpath(osp.join(home, part)) for part in (image, mask)]
                images = _resolve(root, wanted[0])
                masks = _resolve(root, wanted[1])
                if images and (masks or not need_masks):
                    return images, masks
                tried.append(wanted)
    usual = tried[:: len(tried) // (len(spec.homes) + 1)]
    shown = ', '.join(f'{i} + {m}' if need_masks else i for i, m in usual)
    state = '' if osp.isdir(root) else ' (this folder does not exist)'
    raise FileNotFoundError(
        f'no {layout} data{f", split {split}," if split else ""} in '
        f'{osp.abspath(root or ".")}{state}. Looked there for {shown} and '
        f'{len(tried) - len(usual)} further spellings. Needed: {spec.fetch}. '
        'Bring it into this layout with mmaslp prepare, or name the '
        'folders: data_prefix=dict(img_path=..., seg_map_path=...)'
    )


def _with_split(pair: tuple[str, str], split: str | None) -> Iterator[tuple[str, str]]:
    """Yield the ways to divide a pair of folders into splits."""
    if split is None:
        yield pair
    else:
        image, mask = pair
        yield f'{split}/{image}', f'{split}/{mask}'
        yield f'{image}/{split}', f'{mask}/{split}'


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
