"""What nnU-Net v2 says about its ``.npz`` maps, and the labels they belong to."""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np

from ..common.arguments import (
    check_array,
    check_choice,
    check_integer,
    check_object,
    optional,
    reading,
)
from ..common.arrays import SUM_TOLERANCE
from ..common.inputs import MOST_TEXT, Stamp, naming, read_file, stamp_of
from .images import IMAGE_SUFFIXES, open_image
from .volumes import NIFTI_SUFFIXES, is_nifti, read_nifti

IGNORED = 255
LABEL_ENDINGS = (*NIFTI_SUFFIXES, '.png', '.bmp', '.tif')


@dataclass(frozen=True)
class NNUNetDataset:
    """What ``dataset.json`` and ``plans.json`` say about maps and labels.

    Attributes:
        channels (dict[str, tuple[int, ...]]): Labels of each channel, by its name.
        regions (bool): Whether channels may overlap, so that none is the background.
        ignore (int | None): Label of pixels that do not count.
        reorient (bool): Whether nnU-Net turned images to RAS.
        slice_axis (int | None): Axis that slices are stacked along.
    """

    channels: dict[str, tuple[int, ...]]
    regions: bool = False
    ignore: int | None = None
    reorient: bool = False
    slice_axis: int | None = None

    @property
    def foregrounds(self) -> dict[int, str]:
        """dict[int, str]: Names of the channels that are no background, by index."""
        names = dict(enumerate(self.channels))
        if not self.regions:
            names.pop(0, None)
        return names

    def index(self, channel: int | str | None) -> int:
        """Index of the channel that is meant; None: the only foreground."""
        names = self.foregrounds
        meant = [k for k, name in names.items() if channel in (None, k, name)]

        if len(meant) != 1:
            listed = ', '.join(f'{k} {name!r}' for k, name in names.items())
            problem = f'channel {channel!r} is not one of its foregrounds'
            if channel is None:
                problem = 'none of its foregrounds is named'
            raise ValueError(f'{problem}: give one of {listed} (with `channel`)')
        return meant[0]


def find_dataset(folder: str | Path) -> NNUNetDataset | None:
    """Read ``dataset.json`` and ``plans.json`` beside the maps or up to two above.

    ``nnUNetv2_predict`` writes them beside its maps, ``nnUNetv2_train`` two folders
    above those of its validation.
    """
    folder = Path(os.path.realpath(folder))
    for above in (folder, *folder.parents[:2]):
        dataset = stamp_of(above / 'dataset.json')
        if dataset is not None:
            return _read_dataset(above, dataset, stamp_of(above / 'plans.json'))
    return None


@lru_cache(8)
def _read_dataset(place: Path, dataset: Stamp, plans: Stamp | None) -> NNUNetDataset:
    """Read the two files of a folder, again only if they have changed."""
    form = (
        "is not of nnU-Net v2, with labels such as {'background': 0, 'tumour': 1}; if "
        'the maps are not either, move them to another folder'
    )
    with reading(f'{place / "dataset.json"} {form}'):
        labels = check_object('labels', _json(place / 'dataset.json')['labels'])
        ignore = labels.pop('ignore', None)
        channels = {
            name: tuple(
                check_array(name, np.ravel(value).tolist(), (-1,), int, low=0).tolist()
            )
            for name, value in labels.items()
        }
        optional(check_integer, 'ignore', ignore)
    file = place / 'plans.json'
    with reading(f'{file} is not of nnU-Net v2'):
        plan = {} if plans is None else _json(file)
        order = plan.get('transpose_forward', [None])
        slice_axis = check_choice('transpose_forward', order[0], (None, 0, 1, 2))

    regions = any(len(values) > 1 for values in channels.values())
    if ignore in chain(*channels.values()) or channels.get('background') != (0,):
        raise ValueError(
            f'{place / "dataset.json"}: its labels must be background 0, foregrounds, '
            'and ignore, each of another number'
        )
    if regions:  # they have no channel of the background
        channels = {name: values for name, values in channels.items() if any(values)}
    else:
        channels = dict(sorted(channels.items(), key=lambda item: item[1]))
    reorient = plan.get('image_reader_writer') == 'NibabelIOWithReorient'
    return NNUNetDataset(channels, regions, ignore, reorient, slice_axis)


def _json(file: Path) -> dict:
    return check_object('it', json.loads(read_file(file, MOST_TEXT)))


def with_foreground(
    values: np.ndarray,
    prob: np.ndarray,
    channel: int | str | None,
    dataset: NNUNetDataset | None,
) -> np.ndarray:
    """Replace the foreground among the channels of a map.

    The background of two channels becomes ``1 - prob``; other regions stay. Of a
    softmax of more classes one cannot change alone, and ``prob`` is returned as it is.
    """
    dataset = described(values, dataset)
    index = dataset.index(channel)
    if not dataset.regions and len(values) != 2:
        return prob.reshape(values.shape[1:])
    values = values.astype(np.float32)
    values[index] = prob.reshape(values.shape[1:])
    if not dataset.regions:
        values[1 - index] = 1 - values[index]
    return values


def read_label(
    path: Path, dataset: NNUNetDataset, channel: int | str | None = None
) -> np.ndarray:
    """Read a label file of nnU-Net as one foreground.

    Returns:
        np.ndarray: ``(D, H, W)`` uint8 of {0, 1, 255 where ignored}, axes in the order
        of the maps; ``(H, W)`` if D is 1.

    Raises:
        ValueError: The file is of another kind, or has labels that the dataset does not
            describe.
        ImportError: A NIfTI file without nibabel.
    """
    with naming(path):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            labels = np.asarray(open_image(path, frames=1))
        elif not is_nifti(path):
            raise ValueError(
                'labels of nnU-Net are images or NIfTI files, and a dataset.json says '
                'that these are: write them so, or copy the maps elsewhere without it'
            )
        else:
            labels = np.rint(read_nifti(path, dataset.reorient)).astype(np.int32)
        channels = list(dataset.channels.values())
        strange = labels_in(labels) - {0, dataset.ignore}
        strange = strange.difference(*channels)
        if strange:
            raise ValueError(
                f'has the labels {sorted(strange)}, and the dataset.json of the maps '
                f'describes {sorted({0}.union(*channels))}: give the masks of that '
                'data set, or, if the maps are not from nnU-Net, move them away from '
                'its dataset.json (beside them or up to two folders above)'
            )

        values = channels[dataset.index(channel)]
    binary = np.isin(labels, values).astype(np.uint8)
    if dataset.ignore is not None:
        binary[labels == dataset.ignore] = IGNORED
    return binary


def described(values: np.ndarray, dataset: NNUNetDataset | None) -> NNUNetDataset:
    """The channels of a map by its dataset, or by whether they add up to 1."""
    if dataset is not None and len(dataset.channels) != len(values):
        raise ValueError(
            f'has {len(values)} channels, but its dataset.json describes '
            f'{len(dataset.channels)}: put the dataset.json of these maps into the '
            'same folder'
        )
    if dataset is not None and dataset.regions:
        return dataset

    # Slice by slice to bound the memory.
    overlap = len(values) == 1 or any(
        np.abs(channels.sum(0, dtype=np.float32) - 1).max() > SUM_TOLERANCE
        for channels in values.swapaxes(0, 1)
    )
    if dataset is None:
        return NNUNetDataset({str(k): (k,) for k in range(len(values))}, overlap)
    if overlap:
        raise ValueError(
            'its channels do not add up to 1, and its dataset.json describes classes '
            'that exclude each other: put the dataset.json of these maps into the same '
            'folder, and leave `max_value` out'
        )
    return dataset


def labels_in(values: np.ndarray) -> set[int | float]:
    """Values that occur, slice by slice to bound the memory."""
    labels: set[int | float] = set()
    for plane in values.reshape(-1, *values.shape[-2:]):
        labels.update(np.unique(plane).tolist())
    return labels
