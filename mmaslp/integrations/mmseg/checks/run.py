"""Checks of a run that is built: its model, data, hooks and validation."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from mmengine.model import is_model_wrapper

from ..evaluation.metrics import CalibrationMetric
from ..models.losses import SCBCELoss
from .data import check_datasets, dataset_of
from .findings import Finding, report_findings

_EVALUATOR = (
    "val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric', "
    "iou_metrics=['mIoU'])]"
)
# MMSegmentation builds a validation from these three.
_VALIDATION = f"""\
val_dataloader = dict(...)  (of images that are not trained on)
val_cfg = dict(type='ValLoop')
{_EVALUATOR}
or ASLPHook(levels='image', rule='fixed'), which needs no validation"""


def measuring_metric(runner: Any) -> CalibrationMetric | None:
    """The CalibrationMetric of the validation that measures the network itself."""
    for metric in runner.val_loop.evaluator.metrics:
        measures = isinstance(metric, CalibrationMetric)
        if measures and (metric.mode, metric.protocol) == ('top_label', 'raw'):
            return metric
    return None


def check_validation(runner: Any) -> Iterator[Finding]:
    """Refuse a run whose validation does not measure the network."""
    if runner.val_loop is None:
        yield Finding(
            'error',
            'the levels of ASLPHook follow a validation, but there is no '
            'val_dataloader, val_cfg and val_evaluator',
            _VALIDATION,
        )
    elif measuring_metric(runner) is None:
        names = [type(metric).__name__ for metric in runner.val_loop.evaluator.metrics]
        yield Finding(
            'error',
            'the levels of ASLPHook follow what a validation measures, which none '
            f"of val_evaluator's metrics {names} gives (CalibrationMetric does, with "
            "mode='top_label' and protocol='raw')",
            _EVALUATOR,
        )


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


def check_model(
    model: Any, training: bool = True, config: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Look at a segmentor, and at the ``model`` of its config for lines to paste."""
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

    others = {}
    for place, head in heads:
        if place in ours:
            yield from _channels(place, head, model)
        elif ours and training and type(head).__name__ != 'STDCHead':
            # Labels of an STDCHead are boundaries.
            others[place] = head
    if others:
        yield _other_losses(others, model.decode_head, config or {})


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


def _other_losses(
    heads: Mapping[str, Any], first: Any, config: Mapping[str, Any]
) -> Finding:
    """Say which heads train with another loss, and how the config would be right."""
    first = first[-1] if hasattr(first, '__len__') else first
    changes = {}
    for place, head in heads.items():
        weight = next((loss.loss_weight for loss in _losses(head)), 1.0)
        one = dict(out_channels=1, threshold=0.5) if first.out_channels == 1 else {}
        loss = dict(type='SCBCELoss', loss_weight=weight)
        changes[place] = dict(num_classes=2, **one, loss_decode=loss)

    lines = []
    for key in ('decode_head', 'auxiliary_head'):
        given = config.get(key)
        if isinstance(given, Sequence):
            # MMEngine replaces a list as a whole.
            places = [f'model.{key}[{index}]' for index in range(len(given))]
            if changes.keys() & set(places):
                parts = [
                    {**own, **changes.get(place, {})}
                    for own, place in zip(given, places)
                ]
                lines.append(f'model = dict({key}={_as_code(parts)})')
        elif f'model.{key}' in changes:
            change = changes[f'model.{key}']
            change['loss_decode'] = dict(_delete_=True, **change['loss_decode'])
            lines.append(f'model = dict({key}={_as_code(change)})')

    losses = {type(loss).__name__ for head in heads.values() for loss in _losses(head)}
    return Finding(
        'note',
        f'{", ".join(heads)}: trains with {", ".join(sorted(losses)) or "no loss"}, '
        'which knows of no levels',
        '\n'.join(lines),
    )


def _as_code(value: Any) -> str:
    """Write a part of a config as it is written in one."""
    if isinstance(value, Mapping):
        parts = (f'{key}={_as_code(part)}' for key, part in value.items())
        return f'dict({", ".join(parts)})'
    if isinstance(value, list):
        return f'[{", ".join(map(_as_code, value))}]'
    if isinstance(value, tuple):
        return f'({"".join(f"{_as_code(part)}, " for part in value).rstrip()})'
    return repr(value)


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


WRONG_TTA = Finding(
    'error',
    "MMSegmentation's SegTTAModel applies the sigmoid twice to one-channel heads and "
    'hands metrics the last view instead of the mean',
    "tta_model.type = 'BinarySegTTAModel'",
)


# Runs that were checked; a hook checks those that MMSegmentation's own tools start.
_CHECKED: WeakSet = WeakSet()


def check_once(runner: Any, splits: Sequence[str]) -> None:
    """Report what is found in a run, unless that was done before."""
    if runner not in _CHECKED:
        report_findings(check_run(runner, splits))
        _CHECKED.add(runner)


def check_run(runner: Any, splits: Sequence[str]) -> Iterator[Finding]:
    """Look for what does not work in a run, or measures something else."""
    model = unwrap(runner.model)
    if hasattr(model, 'merge_preds'):  # test-time augmentation
        if type(model).__name__ == 'SegTTAModel':
            yield WRONG_TTA
        model = unwrap(model.module)
    yield from check_model(model, 'train' in splits, runner.cfg.get('model'))
    loops = {split: getattr(runner, f'{split}_loop') for split in splits}
    unusable = [*_check_loops(loops)]
    yield from unusable
    yield from check_datasets({key: dataset_of(loop) for key, loop in loops.items()})
    if {'train', 'val'} <= {*splits} and not unusable:
        for hook in runner.hooks:
            if hasattr(hook, 'findings'):
                yield from hook.findings(runner)


def _check_loops(loops: Mapping[str, Any]) -> Iterator[Finding]:
    for split, loop in loops.items():
        loader = getattr(loop, 'dataloader', None)
        if hasattr(getattr(loader, 'dataset', None), '__len__') and len(loader) == 0:
            text = f'{split}_dataloader gives no batch: batch_size is above its images'
            yield Finding('error', text, f'{split}_dataloader.drop_last = False')
    for name in ('max_epochs', 'val_interval'):
        value = getattr(loops.get('train'), name, 1)
        if value < 1:
            yield Finding('error', f'train_cfg.{name} is {value}, below 1')
