"""Checks of a built model: its heads and their losses."""

import re
from collections.abc import Iterator
from typing import Any

from mmengine.model import is_model_wrapper

from ..losses import SCBCELoss
from .findings import Finding

_QUERIES = 'compares queries with matched masks, not each pixel with its label'
# Type of the head or segmentor -> what it does instead.
REFUSED = {
    'Mask2FormerHead': _QUERIES,
    'MaskFormerHead': _QUERIES,
    'SideAdapterCLIPHead': _QUERIES,
    'MultimodalEncoderDecoder': _QUERIES,
    'VPDDepthHead': 'estimates depth and has no mask',
    'DepthEstimator': 'estimates depth and has no mask',
}


def unwrap(model: Any) -> Any:
    """Take the wrappers of distributed training off a model."""
    while is_model_wrapper(model):
        model = model.module
    return model


def find_losses(model: Any) -> list[SCBCELoss]:
    """List the losses of all heads, decode and auxiliary ones."""
    return [module for module in model.modules() if isinstance(module, SCBCELoss)]


def check_model(model: Any, training: bool = True) -> Iterator[Finding]:
    """Look at a segmentor."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if kind in REFUSED and training:
            place = re.sub(r'\.(\d+)(?=\.|$)', r'[\1]', f'model.{name}'.rstrip('.'))
            yield Finding(
                'error',
                f'{kind} {REFUSED[kind]}, so SCBCELoss cannot perturb its labels: use '
                'a head that predicts every pixel (FCNHead, UPerHead, ...)',
                f"{place} = dict(type='...')",
            )
            return
    heads = [*_heads(model)]
    ours = [place for place, head in heads if any(map(_is_ours, _losses(head)))]
    if not training:
        heads = [(place, head) for place, head in heads if 'auxiliary' not in place]
    elif not ours:
        yield Finding(
            'note',
            'no head trains with SCBCELoss: levels need it; test and fit do not',
            "model.decode_head.loss_decode = dict(type='SCBCELoss')",
        )
    for place, head in heads:
        if place in ours:
            yield from _channels(place, head, model)
        elif ours and training and type(head).__name__ != 'STDCHead':
            # Labels of an STDCHead are boundaries.
            yield _other_loss(place, head, model.decode_head)


def _heads(model: Any) -> Iterator[tuple[str, Any]]:
    """Place and head; K-Net's losses are those of its first head."""
    for key in ('decode_head', 'auxiliary_head'):
        heads = getattr(model, key, None)
        if heads is None:
            continue
        several = hasattr(heads, '__len__')
        for index, head in enumerate(heads if several else [heads]):
            place = f'model.{key}[{index}]' if several else f'model.{key}'
            yield place, getattr(head, 'kernel_generate_head', head)


def _losses(head: Any) -> list[Any]:
    losses = getattr(head, 'loss_decode', [])
    return list(losses) if hasattr(losses, '__len__') else [losses]


def _is_ours(loss: Any) -> bool:
    return isinstance(loss, SCBCELoss)


def _other_loss(place: str, head: Any, first: Any) -> Finding:
    names = ', '.join(type(loss).__name__ for loss in _losses(head))
    weight = next((loss.loss_weight for loss in _losses(head)), 1.0)
    first = first[-1] if hasattr(first, '__len__') else first
    one = 'out_channels=1, threshold=0.5, ' if first.out_channels == 1 else ''
    return Finding(
        'note',
        f'{place} trains with {names or "no loss"}, which knows of no levels',
        f'{place} = dict(num_classes=2, {one}'
        f"loss_decode=dict(_delete_=True, type='SCBCELoss', loss_weight={weight:g}))",
    )


def _channels(place: str, head: Any, model: Any) -> Iterator[Finding]:
    channels = head.out_channels
    if channels not in (1, 2):
        yield Finding(
            'error',
            f'{place} has {channels} channels, and SCBCELoss is for binary heads',
            f'{place}.num_classes = 2\n{place}.out_channels = 1  (or 2)',
        )
    if channels != 1:
        return
    if 'decode_head' in place and head.threshold != 0.5:
        yield Finding(
            'warning',
            f'{place} calls a pixel foreground above {head.threshold} '
            "(MMSegmentation's default is 0.3), the metrics count at 0.5",
            f'{place}.threshold = 0.5',
        )
    reason = _needs_two_channels(head, model)
    if reason is not None:
        yield Finding(
            'error',
            f'{place} cannot work with one channel: {reason}',
            f'{place}.out_channels = 2  (in every head)',
        )


def _needs_two_channels(head: Any, model: Any) -> str | None:
    sampler = getattr(head, 'sampler', None)
    if type(head).__name__ == 'PointHead':
        return 'PointRend looks for uncertain points between the two best channels'
    if type(model).__name__ == 'CascadeEncoderDecoder' or hasattr(
        getattr(model, 'decode_head', None), 'kernel_generate_head'
    ):
        return 'cascades and K-Net look for a threshold that they do not have'
    if (
        type(sampler).__name__ == 'OHEMPixelSampler'
        and getattr(sampler, 'thresh', None) is not None
    ):
        return 'OHEMPixelSampler with thresh takes a softmax over the channels'
    return None
