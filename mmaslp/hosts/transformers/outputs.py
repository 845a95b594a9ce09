"""What a segmentation model of transformers returns, as one logit per pixel."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def foreground_logits(outputs: Any, size: Sequence[int]) -> Tensor:
    """Logits ``(N, H, W)`` of the foreground, at least float32, of a given size."""
    logits = outputs
    if isinstance(outputs, Mapping):
        logits = outputs.get('logits')
    elif isinstance(outputs, tuple | list):
        logits = outputs[0]
    if not isinstance(logits, Tensor) or logits.dim() != 4 or logits.size(1) > 2:
        is_tensor = isinstance(logits, Tensor)
        got = tuple(logits.shape) if is_tensor else type(outputs).__name__
        raise ValueError(
            'SelfCalibration needs one or two logits per pixel, (N, 1, H, W) or '
            f'(N, 2, H, W), but the model returns {got}: load a model for semantic '
            'segmentation with num_labels=2'
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logits = logits[:, 1:] - logits[:, :1] if logits.size(1) == 2 else logits
    return resized(logits, size).squeeze(1)


def resized(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(N, C, h, w)`` bilinearly, as transformers does for its own losses."""
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return interpolate(logits, size=tuple(size), mode='bilinear', align_corners=False)


def class_maps(labels: Tensor) -> Tensor:
    """Labels ``(N, H, W)`` or ``(N, 1, H, W)`` as the former."""
    return labels.squeeze(1) if labels.dim() == 4 else labels
