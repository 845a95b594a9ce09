"""Checked per-pixel scores, outcomes and likelihoods from probabilities and labels."""

import torch

# Pixels at a time: the temporaries stay in the cache.
CHUNK = 2**16
# Averages and interpolations of probabilities leave [0, 1] by rounding only.
ROUNDING = 1e-6
# Probabilities of one pixel add up to 1, in float16 at least this well.
SUM_TOLERANCE = 1e-2


def binary_scores(prob, label, ignore_index):
    """Flatten the valid pixels of a two-class map.

    Args:
        prob (Tensor | np.ndarray): (...) probability of class 1.
        label (Tensor | np.ndarray): (...) of {0, 1, ignore_index}.
        ignore_index (int): Label of the pixels to leave out.

    Returns:
        tuple[Tensor]: (P,) probability and (P,) label, 0 or 1.

    Raises:
        ValueError: See :meth:`CalibrationHistogram.update`.
    """
    prob, label = _tensors(prob, label)
    if prob.shape != label.shape:
        raise ValueError(
            f'prob has shape {tuple(prob.shape)} but label {tuple(label.shape)}: '
            'resize one of them, or squeeze the channel of a one-channel head'
        )
    prob, label = prob.flatten(), label.flatten()
    label, valid = _valid_labels(label, ignore_index, 2)
    prob = _checked(prob if valid is None else prob[valid])
    return prob, label


def top_label_scores(prob, label, ignore_index, num_classes):
    """Flatten the valid pixels of a map of several classes.

    Args:
        prob (Tensor | np.ndarray): (C, ...) probabilities.
        label (Tensor | np.ndarray): (...) of {0, ..., C - 1, ignore_index}.
        ignore_index (int): Label of the pixels to leave out.
        num_classes (int): C.

    Returns:
        tuple[Tensor]: (P,) top probability, (P,) 1 where it is right, else 0, and
        (P,) probability of the true class.

    Raises:
        ValueError: See :meth:`CalibrationHistogram.update`; also if the
            probabilities of a pixel do not add up to 1.
    """
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


def _tensors(prob, label):
    """Accept arrays, check and raise the floating point type."""
    prob, label = torch.as_tensor(prob).detach(), torch.as_tensor(label).detach()
    if not prob.is_floating_point():
        raise ValueError(
            f'prob must be floating point in [0, 1], not {prob.dtype}: divide '
            '8-bit values by 255 and 16-bit values by 65535'
        )
    if prob.dtype not in (torch.float32, torch.float64):
        prob = prob.float()
    return prob, label.to(prob.device)


def _bounds(values):
    """Least and largest value as Python numbers; nan if there is one."""
    # In pieces too small for torch to start threads, which cost more than they save.
    lows, highs = zip(*(each.aminmax() for each in values.flatten().split(CHUNK)))
    return torch.stack(lows).min().item(), torch.stack(highs).max().item()


def _valid_labels(label, ignore_index, num_classes):
    """Leave ignored pixels out.

    Returns:
        tuple: (P,) labels in [0, num_classes) and the (all pixels,) bool mask of
        those, None if no pixel is left out.
    """
    if label.dtype == torch.bool or not label.numel():
        return label, None
    low, high = _bounds(label)
    valid = None
    if not 0 <= low <= high < num_classes or 0 <= ignore_index < num_classes:
        valid = label != ignore_index
        label = label[valid]
    odd = (label < 0) | (label >= num_classes) if valid is not None else None
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


def _checked(prob):
    """Refuse values that are no probabilities; clamp rounding."""
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
