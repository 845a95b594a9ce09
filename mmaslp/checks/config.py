"""Checks of a config for the plugin; works on plain dictionaries.

Whatever a runner is also checked for uses the predicates of
:mod:`mmaslp.checks.runner`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.aslp.perturbation import resolve_perturbation
from ..core.aslp.rules import Rule, make_rule
from .channels import check_channels
from .data import check_labels, missing_data, tests_on_validation
from .findings import Finding
from .heads import refused_part
from .mixing import mixing_steps
from .parts import builds, class_of, is_type, metrics_of, type_name
from .perturbation import different_strengths, no_loss, no_loss_no_hook
from .validation import (
    LOOP_KEYS,
    metric_of,
    no_accuracy,
    no_confidence,
    no_validation,
)

__all__ = ['check_config', 'check_data']

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


def check_config(cfg: Mapping) -> list[Finding]:
    """Look for settings that do not work with the plugin, or measure something else.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Returns:
        list[Finding]: Each names the config line to change; empty if all is well.
    """
    model = cfg.get('model') or {}
    module = model.get('module') or model
    parts = [*_walk(module, 'model')]
    found = (refused_part(type_name(part), path) for path, part in parts)
    refusal = next(filter(None, found), None)
    if refusal is not None:
        return [refusal]
    hook = _hook(cfg)
    findings = [*_imports(cfg)]
    for path, head in _heads(module):
        losses = [*filter(_is_binary, _losses(head))]
        if losses and not is_type(head, 'STDCHead'):  # whose labels are boundaries
            first = min(map(type_name, losses), key=_BINARY_LOSSES.index)
            findings += check_channels(path, head, module, first)
    findings += _perturbations(parts, hook is not None)
    findings += _other_losses(module)
    findings += _test_cfg(module)
    findings += check_labels(cfg)
    if hook is not None:
        dataset = (cfg.get('train_dataloader') or {}).get('dataset')
        preprocessor = module.get('data_preprocessor', cfg.get('data_preprocessor'))
        findings += mixing_steps(dataset, preprocessor)
    findings += [*_validation(cfg, hook), *_save_best(cfg), *_tta(cfg)]
    return findings


def check_data(cfg: Mapping) -> list[Finding]:
    """Look for missing folders, and for a test set that is the validation set.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Returns:
        list[Finding]: Notes; empty if all is well.
    """
    findings = [*missing_data(cfg)]
    if _learns(_hook(cfg)) and tests_on_validation(cfg):
        findings.append(
            Finding(
                'note',
                'test_dataloader has the images of val_dataloader, which steer the '
                'levels: its metrics are not those of unseen images',
                'test_dataloader.dataset: other images',
            )
        )
    return findings


def _imports(cfg: Mapping) -> Iterator[Finding]:
    imports = cfg.get('custom_imports') or {}
    names = imports.get('imports', []) if isinstance(imports, Mapping) else imports
    names = [names] if isinstance(names, str) else names
    if not any(name.split('.')[0] == 'mmaslp' for name in names):
        yield Finding(
            'error',
            'the config does not import the plugin, so its types are unknown',
            "custom_imports = dict(imports=['mmaslp'])",
        )


def _walk(part: Any, path: str) -> Iterator[tuple[str, Mapping]]:
    """Go through the dictionaries of a model, as named_modules does through modules."""
    if isinstance(part, Mapping):
        yield path, part
        for key, each in part.items():
            yield from _walk(each, f'{path}.{key}')
    elif isinstance(part, (list, tuple)):
        for i, each in enumerate(part):
            yield from _walk(each, f'{path}[{i}]')


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


def _perturbations(
    parts: list[tuple[str, Mapping]], has_hook: bool
) -> Iterator[Finding]:
    ours = {path: part for path, part in parts if _is_ours(part)}
    if has_hook:
        finding = no_loss(len(ours))
    else:
        finding = no_loss_no_hook(sum(_is_binary(part) for _, part in parts))
    if finding is not None:
        yield finding
    if ours and not has_hook:
        yield Finding(
            'note',
            'without ASLPHook every SCBCELoss draws for itself, with the fixed alpha '
            'of its arguments',
            f"custom_hooks = [dict(type='ASLPHook', rule='{_DEFAULT_RULE}')]",
        )
    strengths = {}
    for path, loss in ours.items():
        try:
            strengths[path] = resolve_perturbation(loss.get('beta', 'HI')).beta
        except ValueError as error:
            yield Finding('error', f'{path}: {error}', f"{path}.beta = 'HI'")
    finding = different_strengths(strengths.values(), [*strengths])
    if has_hook and finding is not None:
        yield finding


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


def _is_ours(part: Any) -> bool:
    return isinstance(part, Mapping) and builds(part, 'SCBCELoss', 'MODELS')


def _is_binary(part: Any) -> bool:
    return type_name(part) in _BINARY_LOSSES


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


def _hook(cfg: Mapping) -> Mapping | None:
    hooks = cfg.get('custom_hooks') or []
    return next((hook for hook in hooks if is_type(hook, 'ASLPHook')), None)


def _rule(hook: Mapping) -> Rule:
    """Rule of the hook; raises what the hook raises of its arguments."""
    kind = class_of(hook, 'HOOKS')
    if kind is None:  # without the plugin in the registry
        return make_rule(hook.get('rule', _DEFAULT_RULE))
    others = ('type', 'priority')
    return kind(**{key: hook[key] for key in hook if key not in others}).rule


def _learns(hook: Mapping | None) -> bool:
    try:
        return hook is not None and _rule(hook).learns
    except (TypeError, ValueError):  # which check_config says
        return False


def _validation(cfg: Mapping, hook: Mapping | None) -> Iterator[Finding]:
    if hook is None:
        return
    try:
        rule = _rule(hook)
    except (TypeError, ValueError) as error:
        yield Finding('error', f'ASLPHook: {error}', 'custom_hooks: mend ASLPHook')
        return
    if not rule.learns:
        return
    accuracy_key = hook.get('accuracy_key')
    finding = no_validation([key for key in LOOP_KEYS if not cfg.get(key)])
    finding = finding or no_confidence(accuracy_key, bool(rule.needs))
    if finding is None and accuracy_key is None:
        metrics = [metric_of(metric) for metric in metrics_of(cfg, 'val_evaluator')]
        finding = no_accuracy(metrics)
    if finding is not None:
        yield finding


def _save_best(cfg: Mapping) -> Iterator[Finding]:
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = checkpoint.get('save_best')
    first = next(iter(metrics_of(cfg, 'val_evaluator')), None)
    if best == 'auto' and is_type(first, 'CalibrationMetric'):
        best = 'calib/ece'  # the host takes the first value of the first metric
    if (
        isinstance(best, str)
        and best.startswith('calib/')
        and best != 'calib/acc'
        and 'rule' not in checkpoint
    ):
        yield Finding(
            'error',
            f'the host does not know whether a greater {best} is better',
            "default_hooks.checkpoint.rule = 'less'",
        )


def _tta(cfg: Mapping) -> Iterator[Finding]:
    for key in ('tta_model', 'model'):
        if is_type(cfg.get(key), 'SegTTAModel'):
            yield Finding(
                'warning',
                "the host's SegTTAModel applies the sigmoid twice to one-channel heads "
                'and hands metrics the last view instead of the mean',
                f"{key}.type = 'BinarySegTTAModel'",
            )
