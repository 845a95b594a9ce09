"""Probabilities that nnU-Net v2 writes as ``.npz``, and the labels they belong to."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = [
    'LABEL_ENDINGS',
    'NNUNetDataset',
    'find_dataset',
    'read_label',
    'read_npz_probability',
    'write_npz_probability',
]

IGNORED = 255
LABEL_ENDINGS = ('.nii.gz', '.nii', '.png')
# Softmaxes in float16 stay within it.
SUM_TOLERANCE = 1e-2


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

    def channel(self, channel: int | str | None, where: str | Path) -> int:
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
            f'{where}: channel {channel!r} is not one of its foregrounds: name one of '
            f'{listed}'
        )


def find_dataset(folder: str | Path) -> NNUNetDataset | None:
    """Read ``dataset.json`` and ``plans.json`` beside the maps or up to two above.

    ``nnUNetv2_predict`` writes them beside its maps, ``nnUNetv2_train`` two folders
    above those of its validation.
    """
    folder = Path(folder).resolve()
    for each in (folder, *folder.parents[:2]):
        if (each / 'dataset.json').is_file():
            break
    else:
        return None
    labels = json.loads((each / 'dataset.json').read_text())['labels']
    plans = each / 'plans.json'
    reader = plans.is_file() and json.loads(plans.read_text())['image_reader_writer']
    ignore = labels.pop('ignore', None)
    values = {
        name: tuple(map(int, value if isinstance(value, list) else [value]))
        for name, value in labels.items()
    }
    regions = any(len(each) > 1 for each in values.values())
    kept = ((name, each) for name, each in values.items() if not regions or any(each))
    return NNUNetDataset(
        tuple(kept if regions else sorted(kept, key=lambda item: item[1])),
        regions,
        ignore,
        reader == 'NibabelIOWithReorient',
    )


def read_npz_probability(
    path: str | Path,
    key: str | None = None,
    channel: int | str | None = None,
    dataset: NNUNetDataset | None = None,
) -> np.ndarray:
    """Read the foreground's probability from ``nnUNetv2_predict --save_probabilities``.

    Args:
        path (str | Path): A ``.npz`` file of ``(C, D, H, W)``, or ``(H, W)``.
        key (str, optional): Name of the array. Defaults to None: 'probabilities', or
            the only array.
        channel (int | str, optional): Channel, or with a dataset its name, where there
            are several foregrounds. Defaults to None: the only one.
        dataset (NNUNetDataset, optional): What :func:`find_dataset` found. Defaults to
            None: what the file shows; two channels that add up to 1 are background and
            foreground.

    Returns:
        np.ndarray: ``(D, H, W)`` float32 in [0, 1]; ``(H, W)`` if D is 1.

    Raises:
        ValueError: The file holds something else, or several foregrounds of which none
            is named.
    """
    return _probability(Path(path), _array(Path(path), key), channel, dataset)


def write_npz_probability(
    path: str | Path,
    prob: np.ndarray,
    source: str | Path,
    key: str | None = None,
    channel: int | str | None = None,
    dataset: NNUNetDataset | None = None,
) -> None:
    """Write a changed foreground in the layout of the file that it came from.

    The background of two channels becomes ``1 - prob``; other regions stay.
    """
    source = Path(source)
    values = _array(source, key)
    prob = np.asarray(prob, np.float32)
    if values.ndim == 2:
        values = prob
    else:
        found = dataset or _shown(source, values)
        if not found.regions and len(values) > 2:
            raise ValueError(
                f'{source}: a softmax of {len(values)} classes: one of them cannot '
                'change alone'
            )
        index = found.channel(channel, source)
        values = values.astype(np.float32)
        values[index] = prob.reshape(values.shape[1:])
        if not found.regions:
            values[1 - index] = 1 - values[index]
    np.savez_compressed(path, **{key or 'probabilities': values})


def read_label(
    path: str | Path,
    channel: int | str | None = None,
    dataset: NNUNetDataset | None = None,
) -> np.ndarray:
    """Read a label file of nnU-Net as one foreground.

    Args:
        path (str | Path): ``.nii.gz``, ``.nii`` (needs nibabel) or ``.png``.
        channel (int | str, optional): The foreground, where there are several.
        dataset (NNUNetDataset, optional): What :func:`find_dataset` found. Defaults to
            None: the labels are 0 and 1.

    Returns:
        np.ndarray: ``(D, H, W)`` uint8 of {0, 1, 255 where ignored}, axes in the order
        of the maps; ``(H, W)`` if D is 1.

    Raises:
        ValueError: The file is of another kind or has labels that are not described.
        ImportError: A NIfTI file without nibabel.
    """
    path, found = Path(path), dataset or NNUNetDataset()
    labels = _labels(path, found.reorient)
    known = {value for _, values in found.channels for value in values} | {0}
    strange = set(np.unique(labels).tolist()) - known - {found.ignore}
    if strange:
        raise ValueError(
            f'{path}: has the labels {sorted(strange)}, which no dataset.json beside '
            'the maps, or two folders above them, describes'
        )
    values = found.channels[found.channel(channel, path)][1]
    binary = np.isin(labels, values).astype(np.uint8)
    if found.ignore is not None:
        binary[labels == found.ignore] = IGNORED
    return binary[0] if len(binary) == 1 else binary


def _array(path: Path, key: str | None) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            if key is None:
                key = 'probabilities' if 'probabilities' in names else names[0]
                if key != 'probabilities' and len(names) > 1:
                    raise ValueError(f'holds the arrays {", ".join(names)}: name one')
            if key not in names:
                raise ValueError(f'has no array {key!r}, only {", ".join(names)}')
            values = file[key]
    except Exception as error:  # numpy and zipfile raise a dozen types
        raise ValueError(f'{path}: is not a readable .npz file ({error})') from error
    if values.ndim not in (2, 4) or not values.size:
        raise ValueError(
            f'{path}: has the shape {values.shape}; a map of nnU-Net is (C, D, H, W)'
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(
            f'{path}: values lie in [{low:.6g}, {high:.6g}], not in [0, 1]'
        )
    return values


def _probability(
    path: Path,
    values: np.ndarray,
    channel: int | str | None,
    dataset: NNUNetDataset | None,
) -> np.ndarray:
    if values.ndim == 4:
        found = dataset or _shown(path, values)
        if len(found.channels) != len(values):
            raise ValueError(
                f'{path}: has {len(values)} channels, its dataset.json describes '
                f'{len(found.channels)}'
            )
        values = values[found.channel(channel, path)]
        values = values[0] if len(values) == 1 else values
    return values.astype(np.float32).clip(0, 1)


def _shown(path: Path, values: np.ndarray) -> NNUNetDataset:
    """What a map shows about itself: whether its channels add up to 1."""
    total = values.sum(0, dtype=np.float32)
    regions = len(values) == 1 or bool(np.abs(total - 1).max() > SUM_TOLERANCE)
    names = tuple((str(index), (index,)) for index in range(len(values)))
    return NNUNetDataset(names, regions)


def _labels(path: Path, reorient: bool) -> np.ndarray:
    """Integers ``(D, H, W)``, in the order of nnU-Net's arrays."""
    if path.name.endswith('.png'):
        return np.asarray(Image.open(path))[None]
    if not path.name.endswith(LABEL_ENDINGS):
        raise ValueError(f'{path}: is not one of {", ".join(LABEL_ENDINGS)}')
    try:
        import nibabel
    except ImportError as error:
        raise ImportError(
            f'{path}: NIfTI files need nibabel: pip install "mmaslp[nnunet]"'
        ) from error
    image = nibabel.load(path)
    if reorient:
        image = image.as_reoriented(nibabel.orientations.io_orientation(image.affine))
    values = np.asanyarray(image.dataobj)
    if values.ndim == 2:
        values = values[..., None]
    return np.rint(values).astype(np.int64).transpose(2, 1, 0)
