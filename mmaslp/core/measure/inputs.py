"""Checked per-pixel scores, outcomes and likelihoods from probabilities and labels."""

import warnings

import numpy as np
import torch
from torch import Tensor

from ..argument_checks import check_integer, optional

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
    prob, label = matched(prob, label).flatten(), label.flatten()
    label, valid = _valid_labels(label, ignore_index, 2)
    prob = checked(prob if valid is None else prob[valid])
    return prob, label


def binary_maps(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Check two-class maps whose pixels keep their places."""
    prob, label = _pair(prob, label)
    prob, label = as_maps(matched(prob, label)), as_maps(label, 'label')
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
    prob, label = prob.flatten(1), label.flatten()
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
    return score if score.dtype in (torch.float32, torch.float64) else score.float()


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
    lows, highs = zip(*(each.aminmax() for each in values.flatten().split(2**15)))
    return torch.stack(lows).min().item(), torch.stack(highs).max().item()


def _valid_labels(
    label: Tensor, ignore_index: int | None, num_classes: int
) -> tuple[Tensor, Tensor | None]:
    """Leave ignored pixels out."""
    optional(check_integer, 'ignore_index', ignore_index)
    if label.dtype == torch.bool or not label.numel():
        return label, None
    low, high = _bounds(label)
    inside = 0 <= low <= high < num_classes
    valid = None
    if ignore_index is not None and not (
        inside and not 0 <= ignore_index < num_classes
    ):
        valid = label != ignore_index
        label = label[valid]
    odd = None if inside else (label < 0) | (label >= num_classes)
    if label.is_floating_point():
        odd = ~torch.isin(label, torch.arange(num_classes, device=label.device))
    if odd is not None and odd.any():
        found = ', '.join(f'{v:g}' for v in label[odd].unique()[:5].tolist())
        raise ValueError(
            f'label must be one of {{0, ..., {num_classes - 1}, ignore_index = '
            f'{ignore_index}}}, but holds {found}: map 0/255 masks to 0/1 first, '
            'or set ignore_index'
        )
    ignored = valid is not None and 0 < len(label) < len(valid)
    if ignored and num_classes == 2 and not label.any():
        warnings.warn(_NEVER_ONE.format(ignore_index), stacklevel=5)
    return label, valid


def checked(prob: Tensor, logits: bool = False) -> Tensor:
    """Refuse values that are not probabilities, or logits; clamp rounding."""
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
