"""Checked per-pixel scores, outcomes and likelihoods from probabilities and labels."""

import numpy as np
import torch
from torch import Tensor

# Pixels at a time. With more, the temporaries leave the cache and each step costs more.
CHUNK = 3 * 2**15
# Averages and interpolations of probabilities leave [0, 1] only by rounding.
ROUNDING = 1e-6
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


def probabilities(prob: Tensor | np.ndarray) -> Tensor:
    """Check probabilities that have no labels."""
    return _checked(_floats(prob, 'prob'))


def binary_scores(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """Flatten the valid pixels of a two-class map."""
    prob, label = _tensors(prob, label)
    prob, label = matched(prob, label).flatten(), label.flatten()
    label, valid = _valid_labels(label, ignore_index, 2)
    prob = _checked(prob if valid is None else prob[valid])
    return prob, label


def binary_maps(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Check two-class maps whose pixels keep their places."""
    prob, label = _tensors(prob, label)
    prob, label = as_maps(matched(prob, label)), as_maps(label, 'label')
    _, valid = _valid_labels(label.flatten(), ignore_index, 2)
    valid = None if valid is None else valid.view(label.shape)
    if valid is None:
        prob = _checked(prob)
    else:
        prob = torch.where(valid, _checked(prob.where(valid, 0.5)), prob)
    return prob, label == 1, valid


def top_label_scores(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None,
    num_classes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Flatten the valid pixels of a map of several classes."""
    prob, label = _tensors(prob, label)
    if prob.shape != (num_classes, *label.shape):
        raise ValueError(
            f'prob has shape {tuple(prob.shape)}, but {num_classes} classes and '
            f'labels of shape {tuple(label.shape)} need '
            f'{(num_classes, *label.shape)}'
        )
    prob, label = prob.flatten(1), label.flatten()
    label, valid = _valid_labels(label, ignore_index, num_classes)
    prob = _checked(prob if valid is None else prob[:, valid])
    off = (prob.sum(0) - 1).abs()
    if off.numel() and off.max() > SUM_TOLERANCE:
        raise ValueError(
            'the probabilities of a pixel must add up to 1, but are off by up to '
            f'{off.max().item():.3g}: apply softmax to logits first'
        )
    top, predicted = prob.max(0)
    label = label.long()
    return top, (predicted == label).long(), prob.gather(0, label[None])[0]


def _tensors(
    score: Tensor | np.ndarray, label: Tensor | np.ndarray, name: str = 'prob'
) -> tuple[Tensor, Tensor]:
    """Accept arrays, check and raise the floating point type of the scores."""
    score = _floats(score, name)
    return score, _tensor(label).to(score.device)


def _floats(score: Tensor | np.ndarray, name: str) -> Tensor:
    """Accept an array of floating point; float16 and bfloat16 as float32."""
    score = _tensor(score)
    if not score.is_floating_point():
        advice = {
            'prob': ' in [0, 1], not {}: divide 8-bit values by 255 and 16-bit values '
            'by 65535',
            'logit': ', not {}: give the output of the network before the sigmoid',
        }[name].format(score.dtype)
        raise ValueError(f'{name} must be floating point{advice}')
    return score if score.dtype in (torch.float32, torch.float64) else score.float()


def _tensor(values: Tensor | np.ndarray) -> Tensor:
    """Accept arrays of every layout; labels of 16 bits and more as int64."""
    if isinstance(values, np.ndarray):
        native = values.astype(values.dtype.newbyteorder('='), copy=False)
        values = np.require(native, requirements=('C', 'W'))
    values = torch.as_tensor(values).detach()
    # torch has these types, but does not compute with them.
    wide = values.dtype in (torch.uint16, torch.uint32, torch.uint64)
    return values.long() if wide else values


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
    return label, valid


def _checked(prob: Tensor) -> Tensor:
    """Refuse values that are not probabilities; clamp rounding."""
    if not prob.numel():
        return prob
    low, high = _bounds(prob)
    if low != low or high != high:
        raise ValueError(
            f'prob has {int(prob.isnan().sum())} NaN values: look for an overflow '
            'in the model'
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            f'prob must lie in [0, 1], but lies in [{low:.6g}, {high:.6g}]: apply '
            'sigmoid (one channel) or softmax to logits first'
        )
    return prob.clamp(0, 1) if low < 0 or high > 1 else prob
