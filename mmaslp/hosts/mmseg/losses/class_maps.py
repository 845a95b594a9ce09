"""Classes as binary maps, for heads with a sigmoid per class."""

import torch
from torch import Tensor


def class_maps(label: Tensor, number: int, ignore_index: int) -> Tensor:
    """Turn classes into one binary map for each."""
    channels = label.shape[-3] if label.dim() > 2 else 0
    if channels == number:
        return label
    if channels != 1:
        raise ValueError(
            f'{number} sigmoid channels need masks of shape (1, H, W), of classes, or '
            f'({number}, H, W), got {tuple(label.shape[-3:])}'
        )
    classes = torch.arange(number, device=label.device).view(-1, 1, 1)
    maps = label == classes
    ignored = label == ignore_index
    known = maps.any(-3, keepdim=True) | ignored
    if not known.all():
        other = label[~known].unique()[:5].tolist()
        raise ValueError(
            f'label holds the values {other}, only classes 0 to {number - 1} and '
            f'ignore_index={ignore_index} are allowed'
        )
    return maps.long().masked_fill(ignored, ignore_index)
