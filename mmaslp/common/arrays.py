"""Probabilities, labels and logits that are given: checked, and in one shape."""

import warnings
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .arguments import check_bool, check_integer, optional

# Pixels at a time. With more, the temporaries leave the cache, and the allocator
# returns them to the system.
PIXELS_AT_ONCE = 2**16
# Averages and interpolations of probabilities leave [0, 1] only by rounding.
ROUNDING = 1e-6
# Tolerance for the sum of the probabilities of one pixel; float16 stays within it.
SUM_TOLERANCE = 1e-2
REMEDY = (
    'masks of 0 and 255 must become masks of 0 and 1 (mask > 0; in MMSegmentation '
    'LoadBinaryAnnotations; masks of 0 and 1 in transformers: do_reduce_labels=False)'
)

# An array or a tensor: what comes in is what comes out.
Map = TypeVar('Map', Tensor, np.ndarray)


def shaped_as_label(score: Tensor, label: Tensor, name: str = 'prob') -> Tensor:
    """Give a map the shape of its labels."""
    if score.shape == label.shape:
        return score
    if score.dim() > 1 and score.shape[1] == 1 and score[:, 0].shape == label.shape:
        return score[:, 0]
    if score.dim() > 2 and score[:, None].shape == label.shape:
        return score[:, None]
    raise ValueError(
        f'{name} has shape {tuple(score.shape)} but label {tuple(label.shape)}: they '
        'must have one shape, or one may have one channel more, (N, 1, H, W) for '
        f'(N, H, W); of two softmax channels give the second, {name}[:, 1]'
    )


def check_foreground(prob: Tensor, label: Tensor, axis: int) -> None:
    """Refuse background and foreground, of which the foreground is meant.

    In a crop two organs may add up to 1 too, if one of them fills it.
    """
    if (
        label.shape[axis : axis + 1] == (2,)
        and add_up(label, axis)
        and (add_up(prob, axis) or 0 < label.select(axis, 1).float().mean() < 1)
    ):
        raise ValueError(
            f'label {tuple(label.shape)} is one-hot, of background and foreground: '
            'give the foreground of both alone'
        )


def add_up(values: Tensor, axis: int) -> bool:
    """Whether an axis before those of a map adds up to 1, as that of a softmax."""
    if values.dim() <= axis + 2 or not values.numel() or values.shape[axis] < 2:
        return False
    excess = (values.sum(axis) - 1).abs()
    return bool(excess.max() < SUM_TOLERANCE)


def check_places(values: Tensor) -> None:
    """Refuse what has less than two axes, and channels that come last."""
    if values.dim() < 2:
        raise ValueError(f'a map must be (..., H, W), not {tuple(values.shape)}')
    if values.dim() > 2 and values.shape[-1] <= 3 < values.shape[-2]:
        raise ValueError(
            f'maps of shape {tuple(values.shape)} are {values.shape[-1]} pixels wide: '
            'if the last axis is one of channels, give the one of the foreground, '
            '[..., k]'
        )


def as_floats(score: Tensor | np.ndarray, logits: bool = False) -> Tensor:
    """Accept an array of floating point; float16 and bfloat16 as float32."""
    name = 'logits' if logits else 'prob'
    score = as_tensor(score, name)
    if logits and not score.is_floating_point():
        raise ValueError(f'logits must be floating point, not {score.dtype}')
    if not score.is_floating_point():
        raise ValueError(
            f'prob must be floating point in [0, 1], not {score.dtype}: divide 8-bit '
            'values by 255 and 16-bit values by 65535; and labels come second'
        )
    return at_least_float32(score)


def as_tensor(values: Tensor | np.ndarray, name: str = 'prob') -> Tensor:
    """Accept arrays of every layout; labels of 16 bits and more as int64."""
    given_type = type(values).__name__
    if np.ma.isMaskedArray(values):
        raise ValueError(
            f'{name} is a masked array, whose masked pixels would count: give a plain '
            'one, and mark pixels without a label by ignore_index'
        )
    if isinstance(values, np.ndarray):
        values = _native(values, name)
    try:
        if isinstance(values, np.ndarray | np.generic):
            values = torch.as_tensor(values)
        if not is_dense(values):
            raise TypeError('a list, or a meta, sparse, nested or complex tensor')
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f'{name} must be an array or a tensor of numbers, got {given_type} '
            f'({error})'
        ) from error

    if not values.is_floating_point() and values.element_size() > 1:
        values = values.long()
    return values.detach()


def _native(values: np.ndarray, name: str) -> np.ndarray:
    """An array whose memory torch can take over."""
    dtype: Any = values.dtype.newbyteorder('=')
    # Unsigned integers of more than 8 bits: torch does not compute with them.
    if values.dtype.kind == 'u' and values.itemsize > 1:
        dtype = np.int64
        if values.max(initial=0) > np.iinfo(np.int64).max:
            raise ValueError(f'{name} holds {values.max()}, more than int64 can')
    return np.require(values, dtype, ('C', 'W'))


def is_dense(values: object) -> bool:
    """Whether it is a tensor that holds its values, real ones."""
    return (
        isinstance(values, Tensor)
        and not values.is_meta
        and not values.is_nested
        and values.layout == torch.strided
        and not values.is_complex()
    )


def checked(prob: Tensor, logits: bool = False) -> Tensor:
    """Refuse values that are not probabilities, or logits; clamp rounding."""
    check_bool('logits', logits)
    if not prob.numel():
        return prob
    least, largest = prob.aminmax()
    low = least.item()
    high = largest.item()
    if low != low:
        name = 'logits contain' if logits else 'prob contains'
        raise ValueError(
            f'{name} {int(prob.isnan().sum())} NaN values: look for an overflow '
            'in the model'
        )

    if logits:
        warn_of_probabilities(low, high)
        return prob

    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            f'prob must be in [0, 1], but is in [{low:.8g}, {high:.8g}]: apply '
            'sigmoid (one channel) or softmax to logits first; divide pixel values by '
            'their largest'
        )

    if low < 0 or high > 1:
        return prob.clamp(0, 1)
    return prob


def warn_of_probabilities(low: float | Tensor, high: float | Tensor) -> None:
    """Warn of logits that all lie in [0, 1], by their least and their largest."""
    if 0 <= low < high <= 1:
        warnings.warn(
            'all logits are in [0, 1]: if they are probabilities, do not give them as '
            'logits, or leave the sigmoid out of the network',
            stacklevel=5,
        )


# Crops without an object are common, so many a batch: 100 of a data set where one in
# ten has an object come without any in 0.003 % of the cases.
MANY = 100


@dataclass(eq=False)
class LabelWatch:
    """Counts the training labels until one holds an object; then ``images`` is None."""

    images: int | None = 0

    def see(self, logits: Tensor, labels: Tensor, valid: Tensor | None) -> None:
        """Take in a batch, whose ignored labels are 0."""
        if self.images is None or not labels.numel():
            return
        if labels.numel() > 1000:  # fewer may lie anywhere
            low, high = logits.detach().aminmax()
            warn_of_probabilities(low, high)
        if labels.any():
            self.images = None
        elif valid is not None:
            self.images += len(labels)
            self.check(MANY)

    def check(self, at_least: int) -> None:
        """Refuse ``at_least`` labels or more without an object."""
        if self.images is not None and self.images >= at_least:
            raise ValueError(
                f'the labels of all {self.images} training images so far contain only '
                f'0 and ignore_index, never 1: {REMEDY}'
            )


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return float32 and float64 tensors as they are, others as float32."""
    if tensor.dtype == torch.float64:
        return tensor
    return tensor.float()


def one_logit(scores: Tensor, axis: int = 1) -> Tensor:
    """Reduce an axis of one or two channels to z, or z1 - z0: softmax as sigmoid."""
    if scores.size(axis) == 1:
        return scores.squeeze(axis)  # select's gradient would fill a map with zeros
    return scores.select(axis, 1) - scores.select(axis, 0)


def one_logit_per_label(
    logits: Tensor, labels: Tensor, independent: bool = False
) -> tuple[Tensor, Tensor]:
    """Give logits and labels one shape, for a loss.

    That is ``(N, ...)``, or ``(N, C, ...)`` where channels are ``independent``.
    """
    _check_dense('logits', logits)
    _check_dense('labels', labels)
    if not logits.is_floating_point():
        raise ValueError(f'logits must be floating point, not {logits.dtype}')

    if labels.dim() == logits.dim() + 1 and labels.size(1) == 1:
        labels = labels.squeeze(1)
    with_channel = labels.dim() > 2 and labels.size(1) == 1
    without_channel = labels.dim() == logits.dim() - 1
    if independent:
        if without_channel and logits.size(1) == 1:
            labels = labels.unsqueeze(1)
    elif without_channel or with_channel:
        if logits.dim() < 3 or logits.size(1) not in (1, 2):
            raise ValueError(
                'logits must be (N, 1, H, W), (N, 2, H, W) or (N, 1 | 2, P), got '
                f'{tuple(logits.shape)}: the loss is for binary heads, in '
                'MMSegmentation out_channels=1 (or num_classes=2)'
            )
        logits = one_logit(at_least_float32(logits))
        if not without_channel:
            labels = labels.squeeze(1)
    elif logits.shape == labels.shape and labels.dim() > 3 and labels.size(1) == 2:
        raise ValueError(
            f'logits and labels of shape {tuple(labels.shape)} may be a two-class head '
            'or two binary maps: give labels without a channel axis for the former, '
            "channels='independent' for the latter"
        )

    if logits.shape != labels.shape:
        raise ValueError(
            f'labels of shape {tuple(labels.shape)} do not fit logits of shape '
            f'{tuple(logits.shape)}: give (N, H, W) labels to (N, 1 | 2, H, W) logits, '
            "or (N, C, H, W) labels and channels='independent' to C sigmoid channels"
        )

    return logits, labels


def _check_dense(name: str, values: Tensor) -> None:
    if not is_dense(values) or not values.dim():
        raise ValueError(
            f'{name} must be a dense tensor (N, ...) of real values, got {values!r:.80}'
        )


# torch compares bytes modulo 256.
_BYTES = {torch.uint8: range(256), torch.int8: range(-128, 128)}


def known_pixels(labels: Tensor, ignore_index: int | None) -> Tensor:
    """Where labels are not ignored."""
    everywhere = torch.ones_like(labels, dtype=torch.bool)
    if ignore_index is None:
        return everywhere
    if labels.dtype in _BYTES and ignore_index not in _BYTES[labels.dtype]:
        return everywhere
    return labels != ignore_index


# Types that torch does not compute with, and what takes their place.
_COUNTED = {
    torch.bool: torch.uint8,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.int64,
}


def split_labels(
    labels: Tensor, ignore_index: int | None, num_classes: int = 2
) -> tuple[Tensor, Tensor | None]:
    """Check the labels and split off the mask of the valid ones, None if all are."""
    optional(check_integer, 'ignore_index', ignore_index)
    if num_classes == 2 and ignore_index in (0, 1):
        raise ValueError(
            f'ignore_index={ignore_index} leaves all pixels of one class out: take a '
            'value that is not a class, such as 255'
        )
    labels = labels.to(_COUNTED.get(labels.dtype, labels.dtype))
    if not labels.numel():
        return labels, None
    # One read of the values and one transfer; the masks are built only if needed.
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    inside = low >= 0 and high < num_classes and ignore_index not in range(num_classes)
    if inside and not labels.is_floating_point():
        return labels, None

    valid = known_pixels(labels, ignore_index)
    in_range = (labels >= 0) & (labels < num_classes)
    allowed = in_range & (labels == labels.floor()) | ~valid
    all_allowed, all_valid = torch.stack([allowed.all(), valid.all()]).tolist()
    if not all_allowed:
        raise ValueError(
            f'label contains {_first_values(labels[~allowed])}, but only '
            f'{", ".join(map(str, range(num_classes)))} and '
            f'ignore_index={ignore_index} are allowed: {REMEDY}; threshold masks that '
            'resizing or mixing has softened (mask > 0.5), and pass labels after maps'
        )
    labels = labels.masked_fill(~valid, 0)
    if all_valid:
        return labels, None
    return labels, valid


def _first_values(labels: Tensor) -> str:
    """Up to five of the values that labels hold."""
    values = labels.unique()[:5].tolist()
    return ', '.join(f'{value:g}' for value in values)


def apply_protocol(prob: Map, protocol: str, valid: Map | None = None) -> Map:
    """Prepare one map: leave it ('raw'), or do as the released ASLP code ('released').

    That stretches each image to [0, 1] and rounds to 8 bits: only to compare with
    published numbers. It stretches by the valid pixels: the released code knows no
    others.
    """
    if protocol == 'raw':
        return prob
    pixels = prob if valid is None else prob[valid]
    if 0 in pixels.shape:
        return prob
    low = pixels.min()
    stretched = (prob - low) / (pixels.max() - low + 1e-8)
    return (stretched * 255).round() / 255
