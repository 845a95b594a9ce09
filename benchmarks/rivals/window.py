"""The window around a pixel, for losses that look at the labels of its neighbours."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ['check_maps', 'foreground_share']


def check_maps(scores: Tensor, loss: str) -> None:
    """Refuse the points of heads that sample points.

    Args:
        scores (Tensor): ``(N, C, H, W)``.
        loss (str): Name of the loss, for the error.

    Raises:
        ValueError: If the scores are no maps.
    """
    if scores.dim() != 4:
        raise ValueError(
            f'{loss} needs maps (N, C, H, W), got {tuple(scores.shape)}: points have '
            'no neighbours, use another loss in heads that sample points'
        )


def foreground_share(labels: Tensor, valid: Tensor | None, size: int = 3) -> Tensor:
    """Share of the foreground among the labelled pixels of the window.

    Args:
        labels (Tensor): 0 or 1 (0 where ``valid`` is False), ``(N, H, W)``, float.
        valid (Tensor, optional): Bool, same shape. None: all are valid.
        size (int): Side of the window in pixels, odd. What is outside of the image has
            no label. Defaults to 3.

    Returns:
        Tensor: ``(N, H, W)``, in [0, 1], exactly 0 or 1 in a window of one label; 0 in
        one without a label.
    """
    # Without a channel axis, an empty batch would be a map without channels.
    labels = labels.unsqueeze(1)
    window = dict(kernel_size=size, stride=1, padding=size // 2)
    if valid is None:
        return F.avg_pool2d(labels, **window, count_include_pad=False).squeeze(1)
    labelled = F.avg_pool2d(valid.unsqueeze(1).to(labels.dtype), **window)
    share = F.avg_pool2d(labels, **window) / labelled.clamp_min(1 / size**2)
    return share.squeeze(1)
