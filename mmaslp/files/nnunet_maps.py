"""What nnU-Net v2 says about its ``.npz`` maps, and the labels they belong to."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.arrays import SUM_TOLERANCE
from ..common.inputs import MOST_TEXT, check_file, naming
from .images import open_image
from .volumes import NIFTI_SUFFIXES, read_nifti

IGNORED = 255
LABEL_ENDINGS = (*NIFTI_SUFFIXES, '.png')


@dataclass(frozen=True)
class NNUNetDataset:
    """What ``dataset.json`` and ``plans.json`` say about maps and labels."""

    channels: tuple[tuple[str, tuple[int, ...]], ...] = (
        ('background', (0,)),
        ('foreground', (1,)),
    )
    regions: bool = False
    ignore: int | None = None
    reorient: bool = False
    slice_axis: int | None = None

    def channel(self, channel: int | str | None) -> int:
        """Index of the channel that is meant."""
        names = [name for name, _ in self.channels]
        first = 0 if self.regions else 1
        if channel is None and len(names) == first + 1:
            return first
        if channel in names[first:]:
            return names.index(channel)
        if isinstance(channel, int) and first <= channel < len(names):
            return channel
        listed = ', '.join(f'{i} {names[i]!r}' for i in range(first, len(names)))
        raise ValueError(
            f'channel {channel!r} is not one of its foregrounds: name one of {listed}'
        )


def find_dataset(folder: str | Path) -> NNUNetDataset | None:
    """Read ``dataset.json`` and ``plans.json`` beside the maps or up to two above.

    ``nnUNetv2_predict`` writes them beside its maps, ``nnUNetv2_train`` two folders
    above those of its validation.
    """
    folder = Path(folder).resolve()
    places = (folder, *folder.parents[:2])
    found = next(
        (place for place in places if (place / 'dataset.json').is_file()), None
    )
    if found is None:
        return None
    try:
        labels = _json(found / 'dataset.json')['labels']
        file = found / 'plans.json'
        plans = _json(file) if file.is_file() else {}
        order = plans.get('transpose_forward')
        ignore = labels.pop('ignore', None)
        values = {
            name: tuple(map(int, value if isinstance(value, list) else [value]))
            for name, value in labels.items()
        }
        reorient = plans.get('image_reader_writer') == 'NibabelIOWithReorient'
        slice_axis = None if order is None else int(order[0])
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(
            f'the dataset.json or plans.json in {found} is not of nnU-Net ({error!r})'
        ) from error

    regions = any(len(label) > 1 for label in values.values())
    kept = (
        (name, label) for name, label in values.items() if not regions or any(label)
    )
    channels = kept if regions else sorted(kept, key=lambda item: item[1])
    return NNUNetDataset(tuple(channels), regions, ignore, reorient, slice_axis)


def _json(file: Path) -> dict:
    check_file(file, MOST_TEXT)
    return json.loads(file.read_text(encoding='utf-8'))


def foreground(
    values: np.ndarray, channel: int | str | None, dataset: NNUNetDataset | None
) -> np.ndarray:
    """Take the foreground's probability out of a ``.npz`` map.

    ``(C, D, H, W)``, as ``nnUNetv2_predict --save_probabilities`` writes it, becomes
    ``(D, H, W)``, or ``(H, W)`` if D is 1. Without a dataset two channels that add up
    to 1 are background and foreground.
    """
    values = values[_described(values, dataset).channel(channel)]
    return values[0] if len(values) == 1 else values


def with_foreground(
    values: np.ndarray,
    prob: np.ndarray,
    channel: int | str | None,
    dataset: NNUNetDataset | None,
) -> np.ndarray:
    """Replace the foreground in what :func:`foreground` read.

    The background of two channels becomes ``1 - prob``; other regions stay.
    """
    found = _described(values, dataset)
    index = found.channel(channel)
    if not found.regions and len(values) != 2:
        raise ValueError(
            f'a softmax of {len(values)} classes: one of them cannot change alone'
        )
    values = values.astype(np.float32)
    values[index] = prob.reshape(values.shape[1:])
    if not found.regions:
        values[1 - index] = 1 - values[index]
    return values


def read_label(
    path: str | Path,
    channel: int | str | None,
    found: NNUNetDataset,
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
    path = Path(path)
    with naming(path):
        labels = _labels(path, found.reorient)
        known = {value for _, values in found.channels for value in values} | {0}
        strange = labels_in(labels) - known - {found.ignore}
        if strange:
            raise ValueError(
                f'has the labels {sorted(strange)}, which no dataset.json beside the '
                'maps, or two folders above them, describes'
            )
        values = found.channels[found.channel(channel)][1]

    binary = np.isin(labels, values).astype(np.uint8)
    if found.ignore is not None:
        binary[labels == found.ignore] = IGNORED
    return binary[0] if len(binary) == 1 else binary


def _described(values: np.ndarray, dataset: NNUNetDataset | None) -> NNUNetDataset:
    """The channels of a map by its dataset, or by whether they add up to 1."""
    if dataset is None:
        total = values.sum(0, dtype=np.float32)
        regions = len(values) == 1 or bool(np.abs(total - 1).max() > SUM_TOLERANCE)
        names = tuple((str(index), (index,)) for index in range(len(values)))
        return NNUNetDataset(names, regions)
    if len(dataset.channels) != len(values):
        raise ValueError(
            f'has {len(values)} channels, its dataset.json describes '
            f'{len(dataset.channels)}'
        )
    return dataset


def _labels(path: Path, reorient: bool) -> np.ndarray:
    """Integers ``(D, H, W)``, in the order of nnU-Net's arrays."""
    if path.name.endswith('.png'):
        return np.asarray(open_image(path, frames=1))[None]
    values = read_nifti(path, reorient)
    if values.dtype.kind == 'f':
        values = np.rint(values).astype(np.int64)
    return values[None] if values.ndim == 2 else values


def labels_in(values: np.ndarray) -> set[int | float]:
    """Values that occur, slice by slice to bound the memory."""
    slices = values.reshape(-1, *values.shape[-2:])
    return set().union(*(np.unique(plane).tolist() for plane in slices))
