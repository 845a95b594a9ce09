"""Checks of a config for the plugin; works on plain dictionaries.

Whatever a runner is also checked for uses the predicates of
:mod:`mmaslp.hosts.mmseg.checks.runner`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .arguments import check_parts
from .data import SPLITS, check_labels, missing_data, same_images, zero_labels
from .findings import Finding
from .heads import refused_part
from .mixing import mixing_steps
from .model import (
    head_findings,
    is_binary,
    loss_notes,
    segmentor_of,
    strength_findings,
    walk_model,
)
from .parts import class_of, is_type, metrics_of, type_name
from .perturbation import no_loss_no_hook
from .schedule import late_warmup
from .validation import (
    LOOP_KEYS,
    metric_of,
    no_accuracy,
    no_confidence,
    no_validation,
)

__all__ = ['check_config', 'check_data', 'check_testing', 'check_training']


def check_config(cfg: Mapping, iters_per_epoch: int | None = None) -> list[Finding]:
    """Look for settings that do not work with the plugin, or measure something else.

    Args:
        cfg (Mapping): A config, with its bases merged.
        iters_per_epoch (int, optional): Iterations that visit every training image
            once. Defaults to None: not known.

    Returns:
        list[Finding]: Each names the config line to change; empty if all is well.
    """
    refusal = _refusal(cfg)
    if refusal is not None:
        return [refusal]
    findings = [*_imports(cfg), *_training(cfg, SPLITS)]
    module, hook = segmentor_of(cfg), _hook(cfg)
    parts = [*walk_model(module, 'model')]
    if hook is None:
        finding = no_loss_no_hook(sum(is_binary(part) for _, part in parts))
        findings += [] if finding is None else [finding]
    findings += [*loss_notes(parts, module, hook), *check_labels(cfg), *_tta(cfg)]
    built = _built(hook)
    if built is not None and built.rule.learns:
        length = built.warmup_epochs, built.warmup_iters
        finding = late_warmup(cfg, *length, iters_per_epoch)
        findings += [] if finding is None else [finding]
    return findings


def check_training(cfg: Mapping) -> list[Finding]:
    """Look for what fails in a training, or trains something else.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Returns:
        list[Finding]: Empty if all is well.
    """
    refusal = _refusal(cfg)
    if refusal is not None:
        return [refusal]
    return [*_training(cfg, ('train', 'val')), *_unseen(cfg, 'warning', ('test',))]


def check_testing(cfg: Mapping, tta: bool = False) -> list[Finding]:
    """Look for what fails in a test, or measures something else.

    Args:
        cfg (Mapping): A config, with its bases merged.
        tta (bool): Whether ``tta_model`` is tested. Defaults to False.

    Returns:
        list[Finding]: Empty if all is well.
    """
    module = segmentor_of(cfg)
    findings = [*check_parts(cfg, ('test',)), *head_findings(module)]
    findings += zero_labels(cfg, ('test',))
    if tta:
        findings += [Finding('error', f.message, f.remedy) for f in _tta(cfg)]
    return [*findings, *_unseen(cfg, 'warning', ('test',))]


def check_data(cfg: Mapping) -> list[Finding]:
    """Look for missing folders, and for images that are in two sets.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Returns:
        list[Finding]: Notes and warnings, no error; empty if all is well.
    """
    return [*missing_data(cfg), *_unseen(cfg, 'note')]


def _refusal(cfg: Mapping) -> Finding | None:
    parts = walk_model(segmentor_of(cfg), 'model')
    found = (refused_part(type_name(part), path) for path, part in parts)
    return next(filter(None, found), None)


def _training(cfg: Mapping, splits: Sequence[str]) -> list[Finding]:
    module, hook = segmentor_of(cfg), _hook(cfg)
    findings = [*check_parts(cfg, splits), *head_findings(module)]
    if hook is not None:
        findings += strength_findings(walk_model(module, 'model'))
        dataset = (cfg.get('train_dataloader') or {}).get('dataset')
        preprocessor = module.get('data_preprocessor', cfg.get('data_preprocessor'))
        findings += mixing_steps(dataset, preprocessor)
    findings += zero_labels(cfg, splits)
    return [*findings, *_validation(cfg, hook), *_save_best(cfg)]


def _unseen(
    cfg: Mapping, of_test: str, splits: Sequence[str] = ('val', 'test')
) -> Iterator[Finding]:
    """Compare the configs of the sets; the files need not be there.

    Args:
        cfg (Mapping): A config.
        of_test (str): Level of a test set that is the validation set.
        splits (Sequence[str]): The sets to compare with others. Defaults to all.
    """
    trained = 'which are trained on'
    reasons = {('val', 'train'): trained, ('test', 'train'): trained}
    if _learns(_hook(cfg)):
        reasons['test', 'val'] = 'which steer the levels'
    for (split, other), reason in reasons.items():
        if split in splits and same_images(cfg, split, other):
            yield Finding(
                'warning' if reason == trained else of_test,
                f'{split}_dataloader has the images of {other}_dataloader, {reason}: '
                'its metrics are not those of unseen images',
                f'{split}_dataloader.dataset: other images',
            )


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


def _hook(cfg: Mapping) -> Mapping | None:
    hooks = cfg.get('custom_hooks') or []
    return next((hook for hook in hooks if is_type(hook, 'ASLPHook')), None)


def _built(hook: Mapping | None) -> Any:
    """The hook; None if its type or arguments are refused, which check_parts says."""
    kind = None if hook is None else class_of(hook, 'HOOKS')
    if kind is None:
        return None
    others = ('type', 'priority')
    try:
        return kind(**{key: hook[key] for key in hook if key not in others})
    except (TypeError, ValueError):
        return None


def _learns(hook: Mapping | None) -> bool:
    built = _built(hook)
    return built is not None and built.rule.learns


def _validation(cfg: Mapping, hook: Mapping | None) -> Iterator[Finding]:
    built = _built(hook)
    if built is None or not built.rule.learns:
        return
    accuracy_key = built.accuracy_key
    finding = no_validation([key for key in LOOP_KEYS if not cfg.get(key)])
    finding = finding or no_confidence(accuracy_key, bool(built.rule.needs))
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
