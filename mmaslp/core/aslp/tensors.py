"""The checked inputs of a binary loss: logits, labels and the mask of valid pixels."""

import torch
from torch import Tensor

__all__ = [
    'at_least_float32',
    'binary_logits',
    'check_channels',
    'fit_weight',
    'split_labels',
]


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return float32 and float64 tensors as they are, others as float32."""
    wide = tensor.dtype in (torch.float32, torch.float64)
    return tensor if wide else tensor.float()


def check_channels(scores: Tensor) -> None:
    """Refuse scores that do not come from a binary head.

    Args:
        scores (Tensor): ``(N, 1, ...)`` or ``(N, 2, ...)``.

    Raises:
        ValueError: If there is no channel axis, or it has another size.
    """
    if scores.dim() < 3 or scores.size(1) not in (1, 2):
        raise ValueError(
            'cls_score must be (N, 1, H, W), (N, 2, H, W) or (N, 1 | 2, P), got '
            f'{tuple(scores.shape)}: the loss is for binary heads, set '
            'out_channels=1 (or num_classes=2)'
        )


def binary_logits(scores: Tensor) -> Tensor:
    """Reduce scores of one or two channels to one logit per pixel.

    Args:
        scores (Tensor): ``(N, 1, ...)``: the logit z; ``(N, 2, ...)``: z = z1 - z0.

    Returns:
        Tensor: ``(N, ...)``, at least float32.

    Raises:
        ValueError: See :func:`check_channels`.
    """
    check_channels(scores)
    scores = at_least_float32(scores)
    return scores.squeeze(1) if scores.size(1) == 1 else scores[:, 1] - scores[:, 0]


def split_labels(labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor | None]:
    """Check the labels and split off the mask of the valid ones.

    Args:
        labels (Tensor): Values in {0, 1, ignore_index}, any dtype and shape.
        ignore_index (int): Value of pixels without a label.

    Returns:
        tuple[Tensor, Tensor | None]: Labels of 0 and 1 (0 where invalid) in their dtype
        (uint8 for bool); and the bool mask of the valid pixels, None if every pixel is
        valid.

    Raises:
        ValueError: If there is any other value.
    """
    if labels.dtype == torch.bool:
        labels = labels.byte()
    if not labels.numel():
        return labels, None
    # One read of the values and one transfer; the masks are built only if needed.
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    inside = low >= 0 and high <= 1
    if inside and ignore_index not in (0, 1) and not labels.is_floating_point():
        return labels, None
    if labels.dtype == torch.uint8 and not 0 <= ignore_index <= 255:
        valid = torch.ones_like(labels, dtype=torch.bool)  # torch compares modulo 256
    else:
        valid = labels != ignore_index
    known = (labels == 0) | (labels == 1) | ~valid
    if not known.all():
        other = labels[~known].unique()[:5].tolist()
        raise ValueError(
            f'label holds the values {other}, only 0, 1 and ignore_index='
            f'{ignore_index} are allowed: load the masks with LoadBinaryAnnotations '
            '(a 0/255 mask must become 0/1)'
        )
    return labels.masked_fill(~valid, 0), None if valid.all() else valid


def fit_weight(weight: Tensor, loss: Tensor, valid: Tensor | None) -> Tensor:
    """Give every pixel its weight.

    Args:
        weight (Tensor): Of the shape of ``loss``, broadcasting with it, or with a
            channel axis of size 1.
        loss (Tensor): Loss of every pixel, ``(N, ...)``.
        valid (Tensor, optional): Bool, same shape; None if every pixel is valid.

    Returns:
        Tensor: ``(N, ...)``, float; 0 where a pixel is not valid.

    Raises:
        ValueError: If the shapes do not fit.
    """
    weight = weight.float()
    if weight.dim() == loss.dim() + 1 and weight.size(1) == 1:
        weight = weight.squeeze(1)
    try:
        weight = weight.expand_as(loss)
    except RuntimeError as error:
        raise ValueError(
            f'weight of shape {tuple(weight.shape)} does not fit the labels of shape '
            f'{tuple(loss.shape)}'
        ) from error
    return weight if valid is None else weight.masked_fill(~valid, 0.0)
