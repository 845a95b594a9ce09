"""Checks of a built model: its heads, their losses, its windows."""

import re
from collections.abc import Iterator
from typing import Any

from ..losses import SCBCELoss
from .findings import Finding

__all__ = ['check_model', 'no_pixel_logits']

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
_USE = 'use a head that predicts every pixel (FCNHead, UPerHead, ...)'
_LOSS = "dict(type='SCBCELoss')"


def check_model(model: Any, training: bool = True) -> Iterator[Finding]:
    """Look at a segmentor."""
    for name, module in model.named_modules():
        if type(module).__name__ in REFUSED and training:
            yield no_pixel_logits(
                module, _place(name), 'SCBCELoss cannot perturb its labels'
            )
            return
    yield from _windows(model)
    heads = [*_heads(model)]
    ours = [place for place, head in heads if any(map(_is_ours, _losses(head)))]
    if not training:
        heads = [(place, head) for place, head in heads if 'auxiliary' not in place]
    elif not ours:
        yield Finding(
            'warning',
            'no head trains with SCBCELoss',
            f'model.decode_head.loss_decode = {_LOSS}',
        )
    for place, head in heads:
        if place in ours:
            yield from _channels(place, head, model)
        elif ours and training:
            yield from _other_loss(place, head)


def no_pixel_logits(part: Any, place: str, so: str) -> Finding | None:
    """Refuse a head or segmentor without logits per pixel and image."""
    name = type(part).__name__
    if name not in REFUSED:
        return None
    return Finding(
        'error',
        f'{name} {REFUSED[name]}, so {so}: {_USE}',
        f"{place} = dict(type='...')",
    )


def _place(name: str) -> str:
    """Where a module stands in the config: decode_head.0 is model.decode_head[0]."""
    return re.sub(r'\.(\d+)(?=\.|$)', r'[\1]', f'model.{name}' if name else 'model')


def _windows(model: Any) -> Iterator[Finding]:
    test_cfg = getattr(model, 'test_cfg', None) or {}
    size, stride = test_cfg.get('crop_size'), test_cfg.get('stride')
    if test_cfg.get('mode') == 'slide' and isinstance(size, int):
        yield Finding(
            'error',
            'sliding windows need two numbers for crop_size and stride',
            f"model.test_cfg = dict(mode='slide', crop_size=({size}, {size}), "
            f'stride=({stride}, {stride}))',
        )


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


def _other_loss(place: str, head: Any) -> Iterator[Finding]:
    if type(head).__name__ == 'STDCHead':  # its labels are boundaries
        return
    names = ', '.join(type(loss).__name__ for loss in _losses(head))
    weight = next((loss.loss_weight for loss in _losses(head)), 1.0)
    yield Finding(
        'note',
        f'{place} trains with {names or "no loss"}, which knows of no levels',
        f"{place}.loss_decode = dict(_delete_=True, type='SCBCELoss', "
        f'loss_weight={weight:g})\n{place}.out_channels = that of decode_head',
    )


def _channels(place: str, head: Any, model: Any) -> Iterator[Finding]:
    channels = head.out_channels
    if channels not in (1, 2) and not any(
        loss.criterion.channels for loss in filter(_is_ours, _losses(head))
    ):
        yield Finding(
            'error',
            f'{place} has {channels} channels, and SCBCELoss is for binary heads',
            f'{place}.num_classes = 2\n{place}.out_channels = 1  (or 2)',
        )
    if channels == 1:
        yield from _one_channel(place, head, model)


def _one_channel(place: str, head: Any, model: Any) -> Iterator[Finding]:
    kind, two = type(head).__name__, f'{place}.out_channels = 2  (in every head)'
    if 'decode_head' in place and head.threshold != 0.5:
        yield Finding(
            'warning',
            f'{place} calls a pixel foreground above {head.threshold} '
            "(MMSegmentation's default is 0.3), the metrics count at 0.5",
            f'{place}.threshold = 0.5',
        )
    whole = getattr(model, 'decode_head', None)
    cascade = type(model).__name__ == 'CascadeEncoderDecoder'
    if cascade or hasattr(whole, 'kernel_generate_head'):
        yield Finding(
            'error',
            "MMSegmentation's cascades and K-Net cannot predict with one channel (they "
            'look for a threshold that they do not have)',
            two,
        )
    if kind == 'PointHead':
        yield Finding(
            'error',
            f'{place}: PointRend looks for uncertain points between the two best '
            'channels, of which there is one',
            two,
        )
    sampler = getattr(head, 'sampler', None)
    if (
        type(sampler).__name__ == 'OHEMPixelSampler'
        and getattr(sampler, 'thresh', None) is not None
    ):
        yield Finding(
            'error',
            f'{place}: OHEMPixelSampler with thresh takes a softmax over the channels, '
            'of which there is one',
            f"{place}.sampler = dict(type='OHEMPixelSampler', min_kept=100000)",
        )
