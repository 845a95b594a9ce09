"""Probabilities, labels and logits that are given: checked, and in one shape."""

import math
import warnings
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .arguments import check_bool, check_integer, optional

# Pixels at a time. With more, the temporaries leave the cache and each step costs more.
CHUNK = 3 * 2**15
# Averages and interpolations of probabilities leave [0, 1] only by rounding.
ROUNDING = 1e-6
_NEVER_ONE = (
    'labels hold 0 and {} (ignored) and never 1: divide a mask of 0 and 255 by 255, '
    'else its objects are not counted'
)
_IN_01 = 'all logits of a map lie in [0, 1]: if they are probabilities, say so'
# Tolerance for the sum of the probabilities of one pixel; float16 stays within it.
SUM_TOLERANCE = 1e-2


def matched(score: Tensor, label: Tensor, name: str = 'prob') -> Tensor:
    """Give a map the shape of its labels."""
    if score.shape == label.shape:
        return score
    if score.dim() > 1 and score.shape[1] == 1 and score[:, 0].shape == label.shape:
        return score[:, 0]
    raise ValueError(
        f'{name} has shape {tuple(score.shape)} but label {tuple(label.shape)}: they '
        f'must have one shape, or {name} may have one channel more, (N, 1, H, W) for '
        f'(N, H, W); of two softmax channels give the second, {name}[:, 1]'
    )


def as_maps(values: Tensor, name: str = 'prob') -> Tensor:
    """Bring maps of every supported shape into one."""
    if values.dim() not in (2, 3, 4, 5):
        raise ValueError(
            f'{name} must be (H, W), (N, H, W), (N, C, H, W) or (N, C, D, H, W), got '
            f'{tuple(values.shape)}'
        )
    if values.dim() == 2:
        return values[None, None]
    return values.unsqueeze(1) if values.dim() == 3 else values.flatten(1, -3)


def binary_scores(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """Flatten the valid pixels of a two-class map."""
    prob, label = _pair(prob, label)
    prob = matched(prob, label).flatten()
    label = label.flatten()
    label, valid = _valid_labels(label, ignore_index, 2)
    prob = checked(prob if valid is None else prob[valid])
    return prob, label


def binary_maps(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Check two-class maps whose pixels keep their places."""
    prob, label = _pair(prob, label)
    prob = as_maps(matched(prob, label))
    label = as_maps(label, 'label')
    _, valid = _valid_labels(label.flatten(), ignore_index, 2)
    valid = None if valid is None else valid.view(label.shape)
    if valid is None:
        prob = checked(prob)
    else:
        prob = torch.where(valid, checked(prob.where(valid, 0.5)), prob)
    return prob, label == 1, valid


def top_label_scores(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None,
    num_classes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Flatten the valid pixels of a map of several classes."""
    prob, label = _pair(prob, label)
    if prob.shape != (num_classes, *label.shape):
        raise ValueError(
            f'prob has shape {tuple(prob.shape)}, but {num_classes} classes and '
            f'labels of shape {tuple(label.shape)} need '
            f'{(num_classes, *label.shape)}'
        )

    prob = prob.flatten(1)
    label = label.flatten()
    label, valid = _valid_labels(label, ignore_index, num_classes)
    prob = checked(prob if valid is None else prob[:, valid])
    off = (prob.sum(0) - 1).abs()
    if off.numel() and off.max() > SUM_TOLERANCE:
        raise ValueError(
            'the probabilities of a pixel must add up to 1, but are off by up to '
            f'{off.max().item():.3g}: apply softmax to logits first'
        )

    top, predicted = prob.max(0)
    label = label.long()
    return top, (predicted == label).long(), prob.gather(0, label[None])[0]


def _pair(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray
) -> tuple[Tensor, Tensor]:
    prob = as_floats(prob)
    return prob, as_tensor(label, 'label').to(prob.device)


def as_floats(score: Tensor | np.ndarray) -> Tensor:
    """Accept an array of floating point; float16 and bfloat16 as float32."""
    score = as_tensor(score)
    if not score.is_floating_point():
        raise ValueError(
            f'prob must be floating point in [0, 1], not {score.dtype}: divide 8-bit '
            'values by 255 and 16-bit values by 65535'
        )
    return at_least_float32(score)


def as_tensor(values: Tensor | np.ndarray, name: str = 'prob') -> Tensor:
    """Accept arrays of every layout; labels of 16 bits and more as int64."""
    given = type(values).__name__
    if isinstance(values, np.ndarray):
        native = values.astype(values.dtype.newbyteorder('='), copy=False)
        # Unsigned integers of more than 8 bits: torch does not compute with them.
        wide = native.dtype.kind == 'u' and native.itemsize > 1
        values = np.require(native, np.int64 if wide else None, ('C', 'W'))

    try:
        values = torch.as_tensor(values).detach()
        if values.is_meta or values.layout != torch.strided:
            raise TypeError('a meta or sparse tensor')
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f'{name} must be an array or a tensor of numbers, got {given} ({error})'
        ) from error

    short = values.is_floating_point() or values.element_size() == 1
    return values if short else values.long()


def _bounds(values: Tensor) -> tuple[float, float]:
    """Least and largest value as Python numbers; nan if there is one."""
    # In pieces so small that torch starts no threads, which would cost more than they
    # save.
    lows, highs = zip(*(part.aminmax() for part in values.flatten().split(2**15)))
    return torch.stack(lows).min().item(), torch.stack(highs).max().item()


def _valid_labels(
    label: Tensor, ignore_index: int | None, num_classes: int
) -> tuple[Tensor, Tensor | None]:
    """Leave ignored pixels out."""
    label, valid = split_labels(label, ignore_index, num_classes=num_classes)
    if valid is None:
        return label, None
    label = label[valid]
    if len(label) and num_classes == 2 and not label.any():
        warnings.warn(_NEVER_ONE.format(ignore_index), stacklevel=5)
    return label, valid


def checked(prob: Tensor, logits: bool = False) -> Tensor:
    """Refuse values that are not probabilities, or logits; clamp rounding."""
    check_bool('logits', logits)
    if not prob.numel():
        return prob
    low, high = _bounds(prob)
    if low != low or high != high:
        raise ValueError(
            f'prob has {int(prob.isnan().sum())} NaN values: look for an overflow '
            'in the model'
        )

    if logits:
        if 0 <= low < high <= 1:
            warnings.warn(_IN_01, stacklevel=4)
        return prob

    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            f'prob must lie in [0, 1], but lies in [{low:.6g}, {high:.6g}]: apply '
            'sigmoid (one channel) or softmax to logits first; divide pixel values by '
            'their largest'
        )

    return prob.clamp(0, 1) if low < 0 or high > 1 else prob


_BOUNDED = 'all logits so far lie in [0, 1], as probabilities: leave the sigmoid out'
REMEDY = (
    'masks of 0 and 255 must become masks of 0 and 1 (mask > 0; in MMSegmentation '
    'LoadBinaryAnnotations)'
)
# Crops without an object are common, so many a batch: 100 of a data set where one in
# ten has an object come without any in 0.003 % of the cases.
MANY = 100


class LabelWatch:
    """Counts the training labels until one holds an object; then ``images`` is None."""

    def __init__(self) -> None:
        self.images: int | None = 0
        self.bounded = 0.0  # images whose logits lie in [0, 1]; inf after another one

    def see_logits(self, logits: Tensor) -> None:
        """Warn, once, of many logits that look like probabilities."""
        if self.bounded < MANY and logits.numel():
            low, high = logits.detach().aminmax()
            self.bounded += len(logits) if 0 <= low < high <= 1 else math.inf
            if MANY <= self.bounded < math.inf:
                warnings.warn(_BOUNDED, stacklevel=3)

    def see(self, num_images: int, has_object: bool, has_ignored: bool) -> None:
        """Take in the labels of a batch."""
        if has_object:
            self.images = None
        elif has_ignored and self.images is not None:
            self.images += num_images
            self.check(MANY)

    def check(self, at_least: int = 1) -> None:
        """Refuse ``at_least`` labels or more without an object."""
        if self.images is not None and self.images >= at_least:
            raise ValueError(
                f'the labels of all {self.images} training images so far hold only 0 '
                f'and ignore_index, never 1: {REMEDY}'
            )


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return float32 and float64 tensors as they are, others as float32."""
    wide = tensor.dtype in (torch.float32, torch.float64)
    return tensor if wide else tensor.float()


def check_channels(scores: Tensor) -> None:
    """Refuse scores that are not ``(N, 1 | 2, ...)``."""
    if scores.dim() < 3 or scores.size(1) not in (1, 2):
        raise ValueError(
            'cls_score must be (N, 1, H, W), (N, 2, H, W) or (N, 1 | 2, P), got '
            f'{tuple(scores.shape)}: the loss is for binary heads, set '
            'out_channels=1 (or num_classes=2)'
        )


def one_logit(scores: Tensor, axis: int = 1) -> Tensor:
    """Reduce an axis of one or two channels to z, or z1 - z0: softmax as sigmoid."""
    if scores.size(axis) == 1:
        return scores.squeeze(axis)  # select's gradient would fill a map with zeros
    return scores.select(axis, 1) - scores.select(axis, 0)


def pair_shapes(
    logits: Tensor, labels: Tensor, independent: bool = False
) -> tuple[Tensor, Tensor]:
    """Bring both to one shape, ``(N, ...)``, or ``(N, C, ...)`` where independent."""
    for name, given in (('logits', logits), ('labels', labels)):
        strided = isinstance(given, Tensor) and given.layout == torch.strided
        if not strided or given.is_meta or not given.dim():
            kind = type(given).__name__
            raise ValueError(f'{name} must be a tensor (N, ...) of values, got {kind}')

    if not logits.is_floating_point():
        raise ValueError(f'logits must be floating point, not {logits.dtype}')
    without_channel = labels.dim() == logits.dim() - 1
    if independent:
        if without_channel and logits.size(1) == 1:
            labels = labels.unsqueeze(1)
    elif logits.shape != labels.shape or _is_channel(labels, 1):
        if without_channel or _is_channel(labels, 1):
            check_channels(logits)
            logits = one_logit(at_least_float32(logits))
        labels = labels if without_channel else labels.squeeze(1)
    elif _is_channel(labels, 2) and labels.dim() > 3:
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


def known_pixels(labels: Tensor, ignore_index: int | None) -> Tensor:
    """Where labels are not ignored."""
    # torch compares bytes modulo 256
    outside = labels.dtype == torch.uint8 and ignore_index not in range(256)
    if ignore_index is None or outside:
        return torch.ones_like(labels, dtype=torch.bool)
    return labels != ignore_index


def fill_ignored(values: Tensor, known: Tensor, logits: bool = False) -> Tensor:
    """Put 0 where a pixel is ignored and its value cannot be used."""
    if known.all():
        return values
    usable = ~values.isnan() if logits else (values >= 0) & (values <= 1)
    return values.masked_fill(~(usable | known), 0.0)


def split_labels(
    labels: Tensor,
    ignore_index: int | None,
    watch: LabelWatch | None = None,
    num_classes: int = 2,
) -> tuple[Tensor, Tensor | None]:
    """Check the labels and split off the mask of the valid ones, None if all are."""
    optional(check_integer, 'ignore_index', ignore_index)
    if labels.dtype == torch.bool:
        labels = labels.byte()
    if not labels.numel():
        return labels, None
    # One read of the values and one transfer; the masks are built only if needed.
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    inside = low >= 0 and high < num_classes
    usual = ignore_index not in range(num_classes) and not labels.is_floating_point()
    if inside and usual:
        if watch is not None:
            watch.see(len(labels), high == 1, has_ignored=False)
        return labels, None

    valid = known_pixels(labels, ignore_index)
    classes = (labels >= 0) & (labels < num_classes)
    if labels.is_floating_point():
        classes &= labels == labels.floor()
    known = classes | ~valid
    objects = (labels == 1) & valid
    facts = torch.stack([known.all(), valid.all(), objects.any()])
    all_known, all_valid, any_object = facts.tolist()
    if not all_known:
        other = ', '.join(f'{v:g}' for v in labels[~known].unique()[:5].tolist())
        allowed = '0, 1' if num_classes == 2 else f'0 to {num_classes - 1}'
        raise ValueError(
            f'label holds {other}: only {allowed} and ignore_index={ignore_index} are '
            f'allowed: {REMEDY}'
        )

    if watch is not None:
        watch.see(len(labels), any_object, not all_valid)
    return labels.masked_fill(~valid, 0), None if all_valid else valid


def _is_channel(labels: Tensor, size: int) -> bool:
    """Whether axis 1 has this size and may be a channel."""
    return labels.dim() >= 3 and labels.size(1) == size


PROTOCOLS = ('raw', 'released')

Map = TypeVar('Map', Tensor, np.ndarray)


def apply_protocol(prob: Map, protocol: str, valid: Map | None = None) -> Map:
    """Prepare one map: leave it ('raw'), or do as the released ASLP code ('released').

    That stretches each image to [0, 1] and rounds to 8 bits: only to compare with
    published numbers.
    """
    if protocol == 'raw':
        return prob
    seen = prob if valid is None else prob[valid]
    if not math.prod(seen.shape):
        return prob
    low = seen.min()
    high = seen.max()
    return ((prob - low) / (high - low + 1e-8) * 255).round() / 255
