"""Finding the segmentor inside of its wrappers, and replacing its methods."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor

from .checks.model import no_pixel_logits

__all__ = ['check_binary', 'find_segmentor', 'replaced', 'two_channels']


def find_segmentor(model: Any) -> tuple[Any, BaseTTAModel | None]:
    """Remove the wrappers of distributed training and of test-time augmentation.

    Args:
        model (nn.Module): ``runner.model``.

    Returns:
        tuple[nn.Module, BaseTTAModel | None]: The segmentor, and the model that merges
        its views, if there is one.

    Raises:
        ValueError: If the segmentor or its head gives no logits, or there is no
            ``postprocess_result``.
    """
    tta_model = None
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        if isinstance(model, BaseTTAModel):
            tta_model = model
        model = model.module
    head = getattr(model, 'decode_head', None)
    for place, part in (('model', model), ('model.decode_head', head)):
        finding = no_pixel_logits(part, place, 'nothing can calibrate it')
        if finding is not None:
            raise ValueError(finding.sentence())
    if not hasattr(model, 'postprocess_result'):
        raise ValueError(
            f'{type(model).__name__} has no postprocess_result, where a temperature '
            'is applied: derive it from BaseSegmentor of MMSegmentation'
        )
    return model, tta_model


def check_binary(seg_logits: Any) -> None:
    """Refuse the logits of heads with more than two channels.

    Args:
        seg_logits (Tensor): (N, C, H, W).

    Raises:
        ValueError: If C > 2.
    """
    if seg_logits.shape[1] > 2:
        raise ValueError(
            f'the head gives {seg_logits.shape[1]} channels, but this temperature is '
            'for binary heads: one channel (out_channels=1) or two (num_classes=2)'
        )


def two_channels(seg_logits: Tensor) -> Tensor:
    """Let the host keep the logits of a binary head instead of probabilities.

    ``postprocess_result`` undoes padding, flips and sizes, then applies the sigmoid to
    one channel, but hands two through: so a channel of zeros is put before the one.

    Args:
        seg_logits (Tensor): ``(N, C, H, W)``, C of 1 or 2.

    Returns:
        Tensor: ``(N, 2, H, W)`` float32, the logit of the positive class being
        the second channel less the first.
    """
    seg_logits = seg_logits.float()
    if seg_logits.shape[1] == 1:
        seg_logits = torch.cat([torch.zeros_like(seg_logits), seg_logits], dim=1)
    return seg_logits


@contextmanager
def replaced(owner: Any, name: str, function: Callable) -> Iterator[None]:
    """Replace a method of one object by a function for a while.

    Args:
        owner (Any): The object.
        name (str): Name of the method.
        function (Callable): Called instead, without ``self``.
    """
    before = vars(owner).get(name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
