"""Registered data sets: salient-object sets as published, and the one of the demo."""

import os
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS

from ....common.arguments import check_text, optional
from ....files.datasets import list_pairs, locate
from ....files.layouts import NUCLEI
from ....files.names import raise_problems


@DATASETS.register_module()
class SODDataset(BaseDataset):
    """Images with binary masks: salient objects, or any other single foreground.

    ``layout`` finds the folders in the spellings of the published sets; or
    ``data_prefix`` gives them. An image and a mask belong together if their names
    without suffix are equal, in sub-folders too. These are errors when the dataset is
    built: an image without mask, a mask without image, a listed image that does not
    exist, a name that occurs twice, an empty folder or file. Images are sorted by name.

    Load the masks with :class:`LoadBinaryAnnotations`: the ``LoadAnnotations`` of
    MMSegmentation reads the 255 of a 0/255 mask as "ignore".

    Args:
        data_root (str, optional): The folder that holds the set, or the folder of all
            sets. Defaults to None, the working directory.
        layout (str, optional): How the set is laid out: 'DUTS-TR', 'DUTS-TE',
            'DUT-OMRON', 'PASCAL-S', 'SOD', 'ECSSD', 'HKU-IS', 'mmseg'
            (img_dir, ann_dir) or 'folder' (images, masks). Defaults to None: the
            folders of any of these, in ``data_root`` itself.
        split (str, optional): The part of the set, if each part is a folder
            (``train/images`` or ``images/train``) or a list in ``data_root``
            (``train.txt`` of ``mmaslp prepare``). Defaults to None.
        ann_file (str): A list file, one image name per line, with or without
            suffix. Defaults to '', all images.
        data_prefix (dict, optional): ``img_path`` and ``seg_map_path`` instead of a
            layout, relative to ``data_root``. Defaults to None.
        img_suffix (str, optional): The suffix of image names. Defaults to None, any of
            .jpg .jpeg .png .bmp .tif .tiff.
        seg_map_suffix (str, optional): The suffix of mask names. Defaults to None, any
            of the same.
        metainfo (dict, optional): May rename the two classes. Defaults to None.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: No folder or list file; says where it looked.
        ValueError: Files that do not fit together, or wrong arguments.

    Example:
        >>> train = dict(
        ...     type='SODDataset', data_root='data', layout='DUTS-TR',
        ...     ann_file='DUTS-TR/train.txt', pipeline=[...])
    """

    METAINFO = {
        'classes': ('background', 'foreground'),
        'palette': [[0, 0, 0], [255, 255, 255]],
        # As the data sets of mmseg have them.
        'label_map': None,
        'reduce_zero_label': False,
    }

    def __init__(
        self,
        data_root: str | None = None,
        layout: str | None = None,
        split: str | None = None,
        ann_file: str = '',
        data_prefix: dict[str, str] | None = None,
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        prefix = {key: value for key, value in (data_prefix or {}).items() if value}
        if prefix and (
            layout or split or prefix.keys() != {'img_path', 'seg_map_path'}
        ):
            raise ValueError(
                'give data_prefix with img_path and seg_map_path, or layout and split, '
                'not both'
            )

        self.layout = layout
        self.split = optional(check_text, 'split', split)
        self.img_suffix = img_suffix
        self.seg_map_suffix = seg_map_suffix
        super().__init__(
            data_root=data_root or '',
            ann_file=ann_file,
            data_prefix=prefix,
            metainfo=metainfo,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Pair the images with their masks, as mmseg's datasets list them."""
        if self.data_prefix:
            folders = self.data_prefix['img_path'], self.data_prefix['seg_map_path']
            list_file = ''
        else:
            folders, list_file = locate(self.data_root, self.layout, self.split)

        self.list_file = self.ann_file or list_file
        pairs = list_pairs(
            folders, self.img_suffix, self.seg_map_suffix, self.list_file
        )
        paths = pairs.paths()
        # OpenCV does not name the file.
        problems = pairs.unpaired()
        for pair in paths.values():
            for path in pair:
                if not os.path.exists(path) or not os.path.getsize(path):
                    problems.append(
                        f'{path}: is empty, or a link to nothing: write or fetch it '
                        'again'
                    )
        raise_problems(problems, folders[0])

        samples = []
        for image, mask in paths.values():
            sample: dict[str, Any] = {
                'img_path': image,
                'seg_map_path': mask,
                'label_map': None,
                'reduce_zero_label': False,
                'seg_fields': [],
            }
            samples.append(sample)
        return samples


@DATASETS.register_module()
class DemoNucleiDataset(SODDataset):
    """Cell nuclei of the 2018 Data Science Bowl (BBBC038), a part of the package.

    140 crops of 256 pixels of stained tissue, fluorescence and smears, and 30 windows
    of 96 pixels without a nucleus. ``mmaslp/files/nuclei/README.md`` has source and
    licence.

    Args:
        split (str): 'train', 'val', 'test' or 'empty'. Defaults to 'train'.
        kind (str, optional): 'stained', 'fluorescent' or 'smear'. Defaults to None:
            images of all kinds.
        **kwargs: Arguments of :class:`SODDataset`.

    Raises:
        ValueError: If ``kind`` is none of the three.

    Example:
        >>> train = dict(type='DemoNucleiDataset', split='train', pipeline=[...])
    """

    KINDS = ('stained', 'fluorescent', 'smear')

    def __init__(
        self, split: str = 'train', kind: str | None = None, **kwargs: Any
    ) -> None:
        if kind is not None and kind not in self.KINDS:
            raise ValueError(f'kind is one of {", ".join(self.KINDS)}, not {kind!r}')
        self.kind = kind
        super().__init__(data_root=str(NUCLEI), split=split, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images of the kind that was asked for."""
        samples = super().load_data_list()
        if self.kind is None:
            return samples
        return [
            sample
            for sample in samples
            if Path(sample['img_path']).name.startswith(self.kind)
        ]
