"""What a fit is given, read as maps beside their labels."""

import warnings
from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import PurePath
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from ...common.arrays import (
    as_floats,
    as_tensor,
    check_foreground,
    check_places,
    checked,
    one_logit,
    split_labels,
)
from ...common.maps import (
    CHANNELS,
    VOLUMES,
    LabelledMap,
    checked_where,
    kind_of,
    refuse_calibrated,
)

Map = Tensor | np.ndarray
SHUFFLING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
END = object()  # of the shorter one of maps and labels


@dataclass(frozen=True, eq=False)
class Pair:
    """A map and its labels, as they are given.

    Attributes:
        prob (Tensor | np.ndarray): ``(H, W)`` or ``(..., H, W)``.
        label (Tensor | np.ndarray): Of the same shape, up to axes of one.
        kind (str | None): 'channels' of several channels. Defaults to None: the axes
            tell it.
    """

    prob: Map
    label: Map
    kind: str | None = None

    def labelled(self, ignore_index: int, *, logits: bool) -> LabelledMap:
        """Check it, see :func:`labelled_map`."""
        return labelled_map(
            self.prob, self.label, ignore_index, logits=logits, kind=self.kind
        )


def kind_of_items(batch: Any) -> str | None:
    """'channels' if maps of a batch ``(N, C, ..., H, W)`` have several.

    None: the axes of each map tell its kind; also of what is no array or tensor.
    """
    if getattr(batch, 'ndim', 0) > 3 and batch.shape[1] > 1:
        return CHANNELS
    return None


def labelled_map(
    prob: Map,
    label: Map,
    ignore_index: int,
    *,
    logits: bool = False,
    kind: str | None = None,
) -> LabelledMap:
    """Check a map and its labels, of one shape up to axes of one, as ``(M, H, W)``.

    Args:
        prob (Tensor | np.ndarray): ``(..., H, W)``; with ``logits`` also ``(2, ...)``
            of background and foreground, for labels that have one channel.
        label (Tensor | np.ndarray): Of {0, 1, ignore_index}.
        ignore_index (int): Label of pixels that do not count.
        logits (bool): Whether ``prob`` holds logits. Defaults to False.
        kind (str, optional): 'channels' of several channels. Defaults to None: the
            axes tell it.

    Raises:
        ValueError: They are no such pair.
    """
    values = as_floats(prob)
    label = as_tensor(label, 'label')
    if logits and _is_softmax(values, label):
        values = one_logit(checked(values.nan_to_num(), logits), axis=0)
        kind = None

    check_places(values)
    check_foreground(values, label, axis=0)
    _check_shapes(values, label)
    label = label.reshape(-1, *values.shape[-2:]).to(values.device)
    values = values.reshape(label.shape)
    label, valid = split_labels(label, ignore_index)
    return LabelledMap(
        values=checked_where(values, valid, logits),
        kind=kind or kind_of(values.shape),
        logits=logits,
        foreground=label.bool(),
        valid=valid,
    )


def _is_softmax(logit: Tensor, label: Tensor) -> bool:
    """Whether logits are of background and foreground, for one map of labels."""
    return (
        logit.dim() > 2
        and len(logit) == 2
        and _long_axes(logit[0]) == _long_axes(label)
    )


def _check_shapes(prob: Tensor, label: Tensor) -> None:
    """Refuse a map and a mask of other shapes, but for axes of one."""
    fits = prob.dim() > 1 and prob.shape[-2:] == label.shape[-2:]
    if fits and prob.numel() and _long_axes(prob) == _long_axes(label):
        return

    hint = ''
    if prob.shape[0] == 2 and prob.dim() == label.dim() + 1:
        hint = '; of a softmax give the foreground alone, [:, 1]'
    raise ValueError(
        f'the map has shape {tuple(prob.shape)} but the mask {tuple(label.shape)}: '
        f'give both as (H, W), resized to one size{hint}'
    )


def _long_axes(values: Tensor) -> list[int]:
    return [size for size in values.shape if size != 1]


def pairs_of(prob: Any, label: Any, in_order: bool = False) -> Iterator[Pair]:
    """Each map and its labels, of what :func:`fit_calibrator` takes.

    Args:
        prob (Tensor | np.ndarray | Iterable): An array of maps, or anything that gives
            maps or batches of them.
        label (Tensor | np.ndarray | Iterable | None): Labels in the same form; None if
            ``prob`` gives pairs.
        in_order (bool): Whether to refuse a loader that shuffles. Defaults to False.
    """
    refuse_calibrated(prob)
    # An array of objects is a list of images.
    if isinstance(prob, Tensor | np.ndarray) and prob.dtype != object:
        return _pairs_of_arrays(prob, label)

    loader = getattr(prob, 'iterable', prob)  # in a progress bar of tqdm
    if in_order and _shuffles(loader):
        raise ValueError(
            'the loader shuffles the images, so the groups do not match them: create '
            'it with shuffle=False'
        )
    gives_batches = getattr(loader, 'batch_sampler', None) is not None
    return _pairs_of_items(prob, _zipped(prob, label), gives_batches)


def _pairs_of_arrays(prob: Map, label: Any) -> Iterator[Pair]:
    """Images of an array ``(N, ..., H, W)``, and labels in the same form."""
    if prob.ndim < 3 or not isinstance(label, Sized) or len(prob) != len(label):
        raise ValueError(
            'give as many labels as probabilities, both as (N, ..., H, W), where N is '
            'the number of images'
        )

    kind = kind_of_items(prob)
    for number, item in enumerate(_zipped(prob, label)):
        image, mask = _checked_pair(item, number)
        yield Pair(image, mask, kind)


def _pairs_of_items(
    prob: Any, items: Iterator[Any], gives_batches: bool
) -> Iterator[Pair]:
    """Images of items that are images, or batches: all, or those of four axes."""
    for number, item in enumerate(items):
        image, mask = _checked_pair(item, number)
        if gives_batches or getattr(image, 'ndim', 0) > 3:
            yield from _pairs_of_batch(image, mask)
            continue

        if number == 0 and isinstance(prob, Iterator):
            _warn_of_volume(image)
        yield Pair(image, mask)


def _pairs_of_batch(images: Map, masks: Map) -> Iterator[Pair]:
    """Images of a batch ``(N, ..., H, W)``."""
    if len(images) != len(masks):
        raise ValueError(
            f'a batch contains {len(images)} maps but {len(masks)} masks: give both as '
            '(N, ..., H, W)'
        )
    kind = kind_of_items(images)
    for image, mask in zip(images, masks):
        yield Pair(image, mask, kind)


def _zipped(prob: Any, label: Any) -> Iterator[Any]:
    """Pairs of maps and labels, of which the shorter ones are filled up with END."""
    try:
        # A Dataset of torch has a length, and need not end by itself.
        maps = prob
        if not hasattr(prob, '__iter__'):
            maps = islice(prob, len(prob))
        if label is None:
            return iter(maps)
        return zip_longest(maps, label, fillvalue=END)
    except TypeError as error:
        raise ValueError(
            f'give arrays of maps and labels, and folders to `mmaslp fit`: {error}'
        ) from error


def _checked_pair(pair: Any, number: int) -> tuple[Any, Any]:
    """A map, or a batch of maps, and its labels; ValueError if it is anything else."""
    if len(pair) != 2 or isinstance(pair, Mapping):
        raise ValueError('give labels too, or pairs of a map and its labels')
    image, mask = pair
    refuse_calibrated(image)
    if isinstance(image, str | PurePath):
        raise ValueError(
            f'prob must be arrays of maps, not {image!r}: give folders to `mmaslp fit`'
        )

    if image is END or mask is END:
        fewer = 'labels'
        if image is END:
            fewer = 'maps'
        raise ValueError(f'there are only {number} {fewer}: give as many of both')
    return image, mask


def _warn_of_volume(image: Any) -> None:
    """Warn if the first item of a generator may be a batch of images."""
    if kind_of(np.shape(image)) == VOLUMES:
        warnings.warn(
            f'{tuple(image.shape)} is read as one volume (D, H, W): give a batch of '
            'images as (N, 1, H, W)',
            stacklevel=4,
        )


def _shuffles(loader: Any) -> bool:
    """Whether a loader of torch gives images in another order than that of its set."""
    sampler = getattr(loader, 'batch_sampler', None)
    if sampler is None:
        sampler = getattr(loader, 'sampler', None)
    sampler = getattr(sampler, 'sampler', sampler)  # of batches
    return isinstance(sampler, SHUFFLING) or bool(getattr(sampler, 'shuffle', False))
