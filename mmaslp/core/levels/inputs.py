"""The checked inputs of a binary loss: logits, labels and the mask of valid pixels."""

import torch
from torch import Tensor

from .label_watch import REMEDY, LabelWatch


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


def binary_logits(scores: Tensor) -> Tensor:
    """Reduce ``(N, 1, ...)`` to z, ``(N, 2, ...)`` to z1 - z0, at least float32."""
    check_channels(scores)
    scores = at_least_float32(scores)
    return scores.squeeze(1) if scores.size(1) == 1 else scores[:, 1] - scores[:, 0]


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
            logits = binary_logits(logits)
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


def split_labels(
    labels: Tensor, ignore_index: int, watch: LabelWatch | None = None
) -> tuple[Tensor, Tensor | None]:
    """Check the labels and split off the mask of the valid ones."""
    if labels.dtype == torch.bool:
        labels = labels.byte()
    if not labels.numel():
        return labels, None
    # One read of the values and one transfer; the masks are built only if needed.
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    inside = low >= 0 and high <= 1
    if inside and ignore_index not in (0, 1) and not labels.is_floating_point():
        if watch is not None:
            watch.see(len(labels), high == 1, has_ignored=False)
        return labels, None
    if labels.dtype == torch.uint8 and not 0 <= ignore_index <= 255:
        valid = torch.ones_like(labels, dtype=torch.bool)  # torch compares modulo 256
    else:
        valid = labels != ignore_index
    objects = (labels == 1) & valid
    known = (labels == 0) | objects | ~valid
    facts = torch.stack([known.all(), valid.all(), objects.any()])
    all_known, all_valid, any_object = facts.tolist()
    if not all_known:
        other = labels[~known].unique()[:5].tolist()
        raise ValueError(
            f'label holds the values {other}, only 0, 1 and ignore_index='
            f'{ignore_index} are allowed: {REMEDY}'
        )
    if watch is not None:
        watch.see(len(labels), any_object, not all_valid)
    return labels.masked_fill(~valid, 0), None if all_valid else valid


def _is_channel(labels: Tensor, size: int) -> bool:
    """Whether axis 1 has this size and may be a channel."""
    return labels.dim() >= 3 and labels.size(1) == size
