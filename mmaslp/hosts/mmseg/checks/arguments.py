"""Whether the parts of a config are known, and whether ours take their arguments."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from .findings import Finding
from .parts import (
    class_of,
    is_type,
    known_names,
    metrics_of,
    type_name,
    walk_datasets,
    walk_steps,
)

__all__ = ['check_parts', 'only_one']

# Keys of a model below which the host builds modules.
_MODEL_KEYS = (
    *('module', 'backbone', 'neck', 'decode_head', 'auxiliary_head'),
    *('kernel_generate_head', 'loss_decode', 'data_preprocessor'),
)
# Hooks that divide or draw: two of a kind would do so twice.
_SINGLE = ('ASLPHook', 'TemperatureHook')
# What the host takes out of a dictionary before it builds the part.
_NOT_ARGUMENTS = ('type', 'priority', '_scope_')


def check_parts(cfg: Mapping, splits: Sequence[str]) -> Iterator[Finding]:
    """Look up every type, and build our parts with their arguments.

    Args:
        cfg (Mapping): A config, with its bases merged.
        splits (Sequence[str]): Of 'train', 'val' and 'test', whose data and metrics
            are looked at.

    Yields:
        Finding: An error for each unknown type, and for each argument that is refused.
    """
    for path, part, registry in _parts(cfg, splits):
        kind = class_of(part, registry)
        if kind is None:
            yield from _unknown(path, type_name(part), registry)
            continue
        if getattr(kind, '__module__', '').split('.')[0] == 'mmaslp':
            yield from _refused(path, part, kind, registry)
    hooks = cfg.get('custom_hooks') or []
    for name in _SINGLE:
        finding = only_one(name, sum(is_type(hook, name) for hook in hooks))
        if finding is not None:
            yield finding


def only_one(name: str, number: int) -> Finding | None:
    """Refuse several hooks of a kind that must be alone.

    Args:
        name (str): Name of its class.
        number (int): How many there are.
    """
    if number < 2:
        return None
    return Finding(
        'error',
        f'there are {number} of {name}, which would all act on the same model',
        f'custom_hooks: keep one {name}',
    )


def _parts(cfg: Mapping, splits: Sequence[str]) -> Iterator[tuple[str, Mapping, str]]:
    """Place, dictionary and registry of what the host will build."""
    for path, part in _model_parts(cfg.get('model'), 'model'):
        yield path, part, 'MODELS'
    hooks = [
        (f'custom_hooks[{i}]', h) for i, h in enumerate(cfg.get('custom_hooks') or [])
    ]
    default = cfg.get('default_hooks') or {}
    hooks += [(f'default_hooks.{key}', hook) for key, hook in default.items()]
    for path, hook in hooks:
        if _is_part(hook):
            yield path, hook, 'HOOKS'
    for split in splits:
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        for path, each in walk_datasets(dataset, f'{split}_dataloader.dataset'):
            if _is_part(each):
                yield path, each, 'DATASETS'
                for step in walk_steps(each.get('pipeline')):
                    if _is_part(step):
                        yield f'{path}.pipeline', step, 'TRANSFORMS'
        for i, metric in enumerate(metrics_of(cfg, f'{split}_evaluator')):
            if _is_part(metric):
                yield f'{split}_evaluator[{i}]', metric, 'METRICS'


def _model_parts(part: Any, path: str) -> Iterator[tuple[str, Mapping]]:
    if isinstance(part, (list, tuple)):
        for i, each in enumerate(part):
            yield from _model_parts(each, f'{path}[{i}]')
    elif isinstance(part, Mapping):
        if _is_part(part):
            yield path, part
        for key in _MODEL_KEYS:
            yield from _model_parts(part.get(key), f'{path}.{key}')


def _is_part(part: Any) -> bool:
    return isinstance(part, Mapping) and bool(type_name(part))


def _unknown(path: str, name: str, registry: str) -> Iterator[Finding]:
    names = known_names(registry)
    if not names:  # there is no host to ask
        return
    near = get_close_matches(name, names, 1)
    yield Finding(
        'error',
        f'{path}: there is no type {name!r} in {registry}',
        f'{path}.type = {near[0]!r}'
        if near
        else 'custom_imports: the module that has it',
    )


def _refused(path: str, part: Mapping, kind: Any, registry: str) -> Iterator[Finding]:
    arguments = {key: part[key] for key in part if key not in _NOT_ARGUMENTS}
    if registry == 'DATASETS':  # without its files and transforms
        arguments.update(lazy_init=True, pipeline=[])
    try:
        kind(**copy.deepcopy(arguments))
    except (TypeError, ValueError, ImportError, OSError) as error:
        name = type_name(part)
        yield Finding('error', f'{path} ({name}): {error}', f'{path}: mend {name}')
