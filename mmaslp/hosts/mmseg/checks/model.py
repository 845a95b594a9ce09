"""Checks of the model of a config: its heads, its losses, its windows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ....core.aslp.perturbation import resolve_perturbation
from .channels import check_channels
from .findings import Finding
from .parts import builds, is_type, type_name
from .perturbation import different_strengths, no_loss

__all__ = [
    'head_findings',
    'is_binary',
    'loss_notes',
    'segmentor_of',
    'strength_findings',
    'walk_model',
]

_BINARY_LOSSES = (
    'BinaryFocalLoss',
    'BrierLoss',
    'CRaCLoss',
    'MbLSLoss',
    'ML1ACELoss',
    'NACLLoss',
    'SCBCELoss',
    'SVLSLoss',
)
_DEFAULT_RULE = 'FB'


def segmentor_of(cfg: Mapping) -> Mapping:
    """Segmentor of a config, without a wrapper."""
    model = cfg.get('model') or {}
    return model.get('module') or model


def walk_model(part: Any, path: str) -> Iterator[tuple[str, Mapping]]:
    """Go through the dictionaries of a model, as named_modules does through modules."""
    if isinstance(part, Mapping):
        yield path, part
        for key, each in part.items():
            yield from walk_model(each, f'{path}.{key}')
    elif isinstance(part, (list, tuple)):
        for i, each in enumerate(part):
            yield from walk_model(each, f'{path}[{i}]')


def head_findings(module: Mapping) -> Iterator[Finding]:
    """Look for heads and a test_cfg that do not fit binary losses.

    Args:
        module (Mapping): The segmentor.

    Yields:
        Finding: What was found.
    """
    for path, head in _heads(module):
        losses = [*filter(is_binary, _losses(head))]
        if losses and not is_type(head, 'STDCHead'):  # whose labels are boundaries
            first = min(map(type_name, losses), key=_BINARY_LOSSES.index)
            yield from check_channels(path, head, module, first)
    yield from _test_cfg(module)


def strength_findings(
    parts: Iterable[tuple[str, Mapping]],
) -> Iterator[Finding]:
    """Say what the hook finds wrong with the losses of a model."""
    ours = {path: part for path, part in parts if _is_ours(part)}
    finding = no_loss(len(ours))
    if finding is not None:
        yield finding
    strengths = {}
    for path, loss in ours.items():
        try:
            strengths[path] = resolve_perturbation(loss.get('beta', 'HI')).beta
        except ValueError:  # which check_parts says
            continue
    finding = different_strengths(strengths.values(), [*strengths])
    if finding is not None:
        yield finding


def loss_notes(
    parts: list[tuple[str, Mapping]], module: Mapping, hook: Mapping | None
) -> Iterator[Finding]:
    """Say what is good to know about the losses."""
    if hook is None and any(_is_ours(part) for _, part in parts):
        yield Finding(
            'note',
            'without ASLPHook every SCBCELoss draws for itself, with the fixed alpha '
            'of its arguments',
            f"custom_hooks = [dict(type='ASLPHook', rule='{_DEFAULT_RULE}')]",
        )
    yield from _other_losses(module)


def _test_cfg(model: Mapping) -> Iterator[Finding]:
    test_cfg = model.get('test_cfg') or {}
    if test_cfg.get('mode') == 'slide' and isinstance(test_cfg.get('crop_size'), int):
        size, stride = test_cfg['crop_size'], test_cfg.get('stride')
        yield Finding(
            'error',
            'sliding windows need two numbers for crop_size and stride',
            f"model.test_cfg = dict(mode='slide', crop_size=({size}, {size}), "
            f'stride=({stride}, {stride}))',
        )


def _other_losses(model: Mapping) -> Iterator[Finding]:
    """Say which heads train with more than SCBCELoss, if any loss is SCBCELoss."""
    heads = [(path, head, _losses(head)) for path, head in _heads(model)]
    if not any(_is_ours(loss) for _, _, losses in heads for loss in losses):
        return
    for path, head, losses in heads:
        names = [type_name(loss) for loss in losses if not _is_ours(loss)]
        if names:
            boundaries = ' (its labels are boundaries: right so)'
            why = boundaries if is_type(head, 'STDCHead') else ''
            yield Finding('note', f'{path} trains with {", ".join(names)} too{why}')


def _heads(model: Mapping) -> Iterator[tuple[str, Mapping]]:
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        if isinstance(heads, Mapping):
            yield f'model.{key}', heads
            continue
        for i, head in enumerate(heads):
            yield f'model.{key}[{i}]', head


def _losses(head: Mapping) -> list[Mapping]:
    inner = head.get('kernel_generate_head') or head
    losses = inner.get('loss_decode') or []
    return [losses] if isinstance(losses, Mapping) else list(losses)


def _is_ours(part: Any) -> bool:
    return isinstance(part, Mapping) and builds(part, 'SCBCELoss', 'MODELS')


def is_binary(part: Any) -> bool:
    """Whether a part of a config is a loss of the plugin."""
    return type_name(part) in _BINARY_LOSSES
