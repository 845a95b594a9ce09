"""Checks of a config for the plugin; works on plain dictionaries."""

import os.path as osp
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .findings import Finding
from .heads import refusal

__all__ = [
    'MIXING',
    'check_config',
    'check_data',
    'is_type',
    'metrics_of',
    'tests_on_validation',
]

# Transforms that make one training image of several.
MIXING = re.compile(r'mosaic|mix_?up|cut_?mix|copy_?paste|class_?mix', re.IGNORECASE)

_EVALUATOR = (
    "val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric', "
    "iou_metrics=['mIoU'])]"
)
_BINARY_LOSSES = (
    'BinaryFocalLoss',
    'BrierLoss',
    'MbLSLoss',
    'ML1ACELoss',
    'NACLLoss',
    'SCBCELoss',
)
# Their labels are boundaries and not the mask.
_OTHER_TASKS = ('STDCHead',)


def check_config(cfg: Mapping) -> list[Finding]:
    """Look for what will not work with the plugin, or measure something else.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Returns:
        list[Finding]: Each names the config line to change; empty if all is well.
    """
    model = cfg.get('model') or {}
    module = model.get('module') or model
    refused = [*_refused(module)]
    if refused:
        return refused
    findings = [*_imports(cfg)]
    heads = list(_heads(module))
    hook = _hook(cfg)
    for path, head in heads:
        findings += _head(path, head, module)
    findings += _losses(heads, hook)
    findings += _test_cfg(module)
    for split in ('train', 'val', 'test'):
        findings += _data(cfg, split, levels=hook is not None)
    findings += _augments(module, levels=hook is not None)
    findings += [*_validation(cfg, hook), *_save_best(cfg), *_tta(cfg)]
    return findings


def check_data(cfg: Mapping) -> list[Finding]:
    """Look for folders that are not there, and for a test set that is no test.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Returns:
        list[Finding]: Notes; empty if all is well.
    """
    findings = [*_missing_data(cfg)]
    if _learns(_hook(cfg)) and tests_on_validation(cfg):
        findings.append(
            Finding(
                'note',
                'test_dataloader has the images of val_dataloader, which steer the '
                'levels: its figures are not those of unseen images',
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


def _refused(model: Mapping) -> Iterator[Finding]:
    places = [('model', model), *_heads(model)]
    for path, part in places:
        reason = refusal(str(part.get('type')))
        if reason is not None:
            yield Finding('error', reason, f"{path} = dict(type='...')")
            return


def _heads(model: Mapping) -> Iterator[tuple[str, Mapping]]:
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        if isinstance(heads, Mapping):
            yield f'model.{key}', heads
            continue
        for i, head in enumerate(heads):
            yield f'model.{key}[{i}]', head


def _all_losses(head: Mapping) -> list[Mapping]:
    inner = head.get('kernel_generate_head') or head
    losses = inner.get('loss_decode') or []
    return [losses] if isinstance(losses, Mapping) else list(losses)


def _binary_losses(head: Mapping) -> list[str]:
    losses = _all_losses(head)
    return [k for k in _BINARY_LOSSES if any(is_type(loss, k) for loss in losses)]


def _ours(head: Mapping) -> list[Mapping]:
    return [loss for loss in _all_losses(head) if is_type(loss, 'SCBCELoss')]


def is_type(part: Any, name: str) -> bool:
    """Whether a part of a config builds a class.

    Args:
        part (Any): A part; anything but a dictionary builds nothing.
        name (str): Name of the class. ``type`` may be that, with or without a scope or
            modules before it, or the class itself.
    """
    kind = part.get('type') if isinstance(part, Mapping) else None
    kind = getattr(kind, '__name__', kind)
    return isinstance(kind, str) and kind.rsplit('.', 1)[-1] == name


def metrics_of(cfg: Mapping, evaluator: str) -> list:
    """List the metrics of an evaluator, which a config may give without a list.

    Args:
        cfg (Mapping): A config.
        evaluator (str): 'val_evaluator' or 'test_evaluator'; empty if it has none.
    """
    metrics = cfg.get(evaluator) or []
    return [metrics] if isinstance(metrics, Mapping) else list(metrics)


def _head(path: str, head: Mapping, model: Mapping) -> Iterator[Finding]:
    losses = _binary_losses(head)
    if is_type(head, 'STDCHead') or not losses:
        return
    inner = head.get('kernel_generate_head') or head
    classes = inner.get('num_classes')
    channels = inner.get('out_channels') or classes
    if channels not in (1, 2):
        yield Finding(
            'error',
            f'{path} has {channels} channels, and {losses[0]} is for binary heads',
            f'{path}.num_classes = 2\n{path}.out_channels = 1  (or 2)',
        )
        return
    if channels == 2:
        return
    if 'decode_head' in path:
        yield Finding(
            'note',
            f'{path} has one channel: the acc_seg of the training log is the share of '
            'the background, whatever the network does; look at calib/acc',
        )
        if inner.get('threshold') != 0.5:
            yield Finding(
                'warning',
                f'{path} calls a pixel foreground above {inner.get("threshold", 0.3)}'
                " (the host's default is 0.3), the metrics count at 0.5",
                f'{path}.threshold = 0.5',
            )
        if is_type(model, 'CascadeEncoderDecoder') or is_type(
            head, 'IterativeDecodeHead'
        ):
            yield Finding(
                'error',
                "the host's cascades and K-Net cannot predict with one channel (it "
                'looks for a threshold that they do not have)',
                f'{path}.out_channels = 2  (in every head)',
            )
    if is_type(head, 'PointHead'):
        yield Finding(
            'error',
            f'{path}: PointRend looks for uncertain points between the two best '
            'channels, of which there is one',
            f'{path}.out_channels = 2  (in every head)',
        )
    sampler = inner.get('sampler')
    if is_type(sampler, 'OHEMPixelSampler') and sampler.get('thresh') is not None:
        yield Finding(
            'error',
            f'{path}: OHEMPixelSampler with thresh takes a softmax over the channels, '
            'of which there is one',
            f"{path}.sampler = dict(type='OHEMPixelSampler', min_kept=100000)",
        )


def _losses(heads: list, hook: Mapping | None) -> Iterator[Finding]:
    found = [(p, loss) for p, head in heads for loss in _ours(head)]
    if not found:
        if hook is None and any(_binary_losses(head) for _, head in heads):
            return
        yield Finding(
            'error' if hook is not None else 'warning',
            'no head trains with SCBCELoss'
            + (', without which ASLPHook has nothing to do' if hook else ''),
            "model.decode_head.loss_decode = dict(type='SCBCELoss')",
        )
        return
    strengths = {str(loss.get('beta', 'HI')) for _, loss in found}
    if len(strengths) > 1 and hook is not None:
        yield Finding(
            'error',
            f'the heads have different perturbations ({", ".join(sorted(strengths))}): '
            'one level per image needs the same beta in every head',
            '\n'.join(f"{p}.loss_decode.beta = 'HI'" for p, _ in found),
        )
    if hook is None:
        yield Finding(
            'note',
            'without ASLPHook every SCBCELoss draws for itself, with the fixed alpha '
            'of its arguments',
            "custom_hooks = [dict(type='ASLPHook')]",
        )
    for path, head in heads:
        kept = [loss['type'] for loss in _all_losses(head) if loss not in _ours(head)]
        if kept:
            why = (
                ' (its labels are boundaries: right so)'
                if is_type(head, 'STDCHead')
                else ''
            )
            yield Finding(
                'note', f'{path} trains with {", ".join(map(str, kept))} too{why}'
            )


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


def _steps(pipeline: Any) -> Iterator[Mapping]:
    if isinstance(pipeline, Mapping):
        yield pipeline
        pipeline = pipeline.get('transforms') or []
    for step in pipeline or []:
        yield from _steps(step)


def _datasets(dataset: Any, path: str) -> Iterator[tuple[str, Mapping]]:
    if not isinstance(dataset, Mapping):
        return
    yield path, dataset
    for i, child in enumerate(dataset.get('datasets') or []):
        yield from _datasets(child, f'{path}.datasets[{i}]')
    yield from _datasets(dataset.get('dataset'), f'{path}.dataset')


def tests_on_validation(cfg: Mapping) -> bool:
    """Whether the test set of a config is its validation set, pipelines aside."""
    loaders = (cfg.get(f'{k}_dataloader') or {} for k in ('val', 'test'))
    val, test = (_images(loader.get('dataset')) for loader in loaders)
    return val is not None and val == test


def _images(part: Any) -> Any:
    """A part of a config without what does not choose the images."""
    if isinstance(part, Mapping):
        others = ('pipeline', 'test_mode', 'lazy_init', 'metainfo')
        return {k: _images(v) for k, v in part.items() if k not in others}
    if isinstance(part, (list, tuple)):
        return [_images(each) for each in part]
    return part.rstrip('/') if isinstance(part, str) else part


def _missing_data(cfg: Mapping) -> Iterator[Finding]:
    roots = {}
    for split in ('train', 'val', 'test'):
        path = f'{split}_dataloader.dataset'
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        for where, each in _datasets(dataset, path):
            root = each.get('data_root') or '.'
            if '://' not in root and not osp.isdir(root):
                roots.setdefault(root, where)
    for root, where in roots.items():
        yield Finding(
            'note', f'no folder {root} here', f'{where}.data_root, or make the data'
        )


def _data(cfg: Mapping, split: str, levels: bool) -> Iterator[Finding]:
    loader = cfg.get(f'{split}_dataloader') or {}
    for path, dataset in _datasets(
        loader.get('dataset'), f'{split}_dataloader.dataset'
    ):
        if dataset.get('reduce_zero_label'):
            yield Finding(
                'error',
                f'{path} makes the background (0) a label to be ignored',
                f'{path}.reduce_zero_label = False',
            )
        for step in _steps(dataset.get('pipeline')):
            name = str(step.get('type'))
            if is_type(step, 'LoadAnnotations'):
                yield Finding(
                    'warning',
                    f'{path}.pipeline reads masks with LoadAnnotations: in a mask of '
                    '0 and 255 the objects are ignored, and every figure is 100',
                    f"{path}.pipeline: dict(type='LoadBinaryAnnotations')",
                )
            if split == 'train' and levels and MIXING.search(name):
                yield _mixing(name, f'{path}.pipeline')


def _augments(model: Mapping, levels: bool) -> Iterator[Finding]:
    preprocessor = model.get('data_preprocessor') or {}
    for step in preprocessor.get('batch_augments') or []:
        if levels and MIXING.search(str(step.get('type'))):
            yield _mixing(step['type'], 'model.data_preprocessor.batch_augments')


def _mixing(name: str, path: str) -> Finding:
    return Finding(
        'error',
        f'{name} makes one image of several, and a level belongs to one image',
        f'{path}: remove {name}',
    )


def _hook(cfg: Mapping) -> Mapping | None:
    return next(
        (h for h in cfg.get('custom_hooks') or [] if is_type(h, 'ASLPHook')), None
    )


def _learns(hook: Mapping | None) -> bool:
    return hook is not None and hook.get('rule', 'MC') != 'fixed'


def _validation(cfg: Mapping, hook: Mapping | None) -> Iterator[Finding]:
    if not _learns(hook):
        return
    missing = [
        k for k in ('val_dataloader', 'val_cfg', 'val_evaluator') if not cfg.get(k)
    ]
    if missing:
        yield Finding(
            'error',
            f'the rule of ASLPHook needs a validation, but there is no '
            f'{", ".join(missing)}',
            f"{_EVALUATOR}\nval_cfg = dict(type='ValLoop')",
        )
        return
    if hook.get('accuracy_key') is not None:
        if hook.get('rule', 'MC') == 'FB':
            yield Finding(
                'error',
                "rule='FB' needs the confidence that CalibrationMetric measures, and "
                'accuracy_key names an accuracy alone',
                f'custom_hooks: ASLPHook without accuracy_key\n{_EVALUATOR}',
            )
    elif not any(_gives_accuracy(m) for m in metrics_of(cfg, 'val_evaluator')):
        yield Finding(
            'error',
            'no metric of val_evaluator gives the pixel accuracy that ASLPHook needs '
            "(CalibrationMetric does, with mode='top_label' and protocol='raw')",
            _EVALUATOR,
        )


def _gives_accuracy(metric: Any) -> bool:
    return (
        is_type(metric, 'CalibrationMetric')
        and metric.get('mode', 'top_label') == 'top_label'
        and metric.get('protocol', 'raw') == 'raw'
    )


def _save_best(cfg: Mapping) -> Iterator[Finding]:
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = checkpoint.get('save_best')
    first = next(iter(metrics_of(cfg, 'val_evaluator')), None)
    if best == 'auto' and is_type(first, 'CalibrationMetric'):
        best = 'calib/ece'  # the host takes the first figure of the first metric
    if isinstance(best, str) and best.startswith('calib/') and 'rule' not in checkpoint:
        rule = 'greater' if best == 'calib/acc' else 'less'
        if rule == 'less':
            yield Finding(
                'error',
                f'the host does not know whether a greater {best} is better',
                f"default_hooks.checkpoint.rule = '{rule}'",
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
