"""Checks of what a config says. Each of them also puts right what it finds.

They change the config that they get, and take a copy where that is not wanted. What
they change is the patch of the doctor.
"""

import inspect
import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from math import ceil
from typing import Any

from mmengine.config import Config, ConfigDict

from ....training.sessions import BAND_LEVELS, ENOUGH, LEAST, WARMUP
from ..config import calibration_of, imports_of, listed, metrics_of, type_of
from ..models.losses import SCBCELoss
from .findings import PATCH, Finding

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
# Losses of regions: they have no target for each pixel.
_OF_REGIONS = ('DiceLoss', 'HuasdorffDisstanceLoss', 'LovaszLoss', 'TverskyLoss')


# What the patch adds to a config without ASLP, unless the doctor is asked for others.
DEFAULT_LEVELS = 'image_band'
# The hook that the patch adds, by the value of the doctor's option --levels.
HOOKS_OF_LEVELS: dict[str, dict[str, Any]] = {
    'image_band': dict(type='ASLPHook', levels='image_band'),
    'band': dict(type='ASLPHook', levels='band'),
    'image': dict(type='ASLPHook', levels='image', rule='MC'),
    'none': dict(type='ASLPHook', levels=None),
}


def check_settings(cfg: Config, levels: str | None = None) -> Iterator[Finding]:
    """Look through a whole config.

    ``levels`` is a key of :data:`HOOKS_OF_LEVELS`, None if none is asked for.
    """
    yield from _check_imports(cfg)
    if isinstance(cfg.get('model'), Mapping):
        if _refused(cfg.model) is None:
            yield from _check_aslp(cfg, levels)
        yield from check_heads(cfg.model)
        yield from _check_strengths(cfg.model)
        yield from _absent_weights('model', cfg.model)
    if type_of(cfg.get('tta_model')) == 'SegTTAModel':
        cfg.tta_model.type = 'BinarySegTTAModel'
        yield Finding('note', f'with `tta`: {WRONG_TTA}', PATCH)

    if 'ObjectFreeCrop' not in str(cfg.get('train_dataloader')):
        yield Finding(
            'note',
            'if all training images contain an object, what the network finds in '
            'images without one is left to chance',
            "train_dataloader.dataset.pipeline: dict(type='ObjectFreeCrop') after the "
            'masks are loaded, if the network will meet such images; docs/windows.md '
            'gives its price',
        )


WRONG_TTA = (
    "MMSegmentation's SegTTAModel applies the sigmoid twice to one-channel heads and "
    'hands metrics the last view instead of the mean'
)


def _check_imports(cfg: Config) -> Iterator[Finding]:
    named = cfg.get('custom_imports')
    imports = imports_of(cfg)
    if named and not isinstance(named, Mapping):
        yield Finding(
            'warning',
            f"custom_imports = {named!r}: MMSegmentation's own tools end with a "
            'TypeError; they read dict(imports=[...])',
            PATCH,
        )

    if not any(name.split('.')[0] == 'mmaslp' for name in imports['imports']):
        yield Finding(
            'note',
            'the config does not import the plugin: the commands of mmaslp do, '
            "MMSegmentation's own tools do not know its types",
            PATCH,
        )
        imports['imports'].append('mmaslp')
    cfg.custom_imports = imports


def _check_aslp(cfg: Config, levels: str | None) -> Iterator[Finding]:
    """Look for the hook and the metric that ASLP needs."""
    hooks = [h for h in cfg.get('custom_hooks') or [] if type_of(h) == 'ASLPHook']
    losses = _our_losses(cfg.model)
    if hooks and not losses:
        yield Finding('error', 'ASLPHook needs the loss SCBCELoss in a head', PATCH)
    if losses and not hooks and levels is None:
        yield Finding(
            'note',
            'SCBCELoss without ASLPHook perturbs labels by its own arguments; without '
            'any it is binary cross entropy',
            '`levels=image_band` adds levels to the patch',
        )
        return

    if not hooks:
        yield from _add_hook(cfg, levels or DEFAULT_LEVELS)
    yield from _add_metric(cfg, bool(hooks))


def _our_losses(model: Mapping[str, Any]) -> list[Any]:
    """The SCBCELoss of all heads."""
    losses = []
    for place, head in heads_of(model):
        for loss in losses_of(place, head):
            if type_of(loss) == 'SCBCELoss':
                losses.append(loss)
    return losses


def _add_hook(cfg: Config, levels: str) -> Iterator[Finding]:
    """Train with levels, or without if there are too few epochs for them."""
    epochs = (cfg.get('train_cfg') or {}).get('max_epochs')
    if levels in BAND_LEVELS and epochs is not None and _moves(epochs) < LEAST:
        enough = next(number for number in count(1) if _moves(number) >= LEAST)
        remedy = f'{enough} epochs or more, or other `levels`'
        dataset = (cfg.get('train_dataloader') or {}).get('dataset')
        if type_of(dataset) == 'RepeatDataset':
            remedy = f'RepeatDataset(times=1), for shorter epochs, and {remedy}'
        yield Finding(
            'warning',
            f'levels={levels!r} move after validations, which come after epochs, and '
            f'{epochs} epochs are too few',
            remedy,
        )
        levels = 'none'

    hook = dict(HOOKS_OF_LEVELS[levels])
    words = f'the patch adds it with levels={hook["levels"]!r}'
    if levels == 'none':
        words = 'the patch trains without levels, by binary cross entropy'
    yield Finding('note', f'trains without ASLPHook; {words}', PATCH)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    if hook['levels'] in BAND_LEVELS:
        yield from _validate_often(cfg)


def _add_metric(cfg: Config, has_hook: bool) -> Iterator[Finding]:
    """Measure calibration wherever something is measured."""
    blind = []
    for name in ('val_evaluator', 'test_evaluator'):
        metrics = metrics_of(cfg, name)
        if metrics and calibration_of(cfg, name) is None:
            blind.append(name)
            cfg[name] = [dict(type='CalibrationMetric'), *metrics]
    if not blind:
        return

    level = 'note'
    if has_hook and 'val_evaluator' in blind:
        level = 'error'
    yield Finding(
        level,
        f'no CalibrationMetric in {" and ".join(blind)}: it measures what levels '
        'follow',
        PATCH,
    )


def _moves(epochs: int) -> int:
    """Validations that move levels: not those of the warm-up, nor the last one."""
    return epochs - ceil(epochs / WARMUP)


def _validate_often(cfg: Config) -> Iterator[Finding]:
    """Lower the interval of validations, which levels follow."""
    schedule = cfg.get('train_cfg') or {}
    end = schedule.get('max_iters') or schedule.get('max_epochs')
    interval = schedule.get('val_interval', 1)
    # The last validation moves levels in vain.
    wanted = max(1, (end or 0) * (WARMUP - 1) // (WARMUP * (ENOUGH + 1)))
    if end is None or interval <= wanted:
        return

    yield Finding(
        'note',
        f'train_cfg.val_interval is {interval}, and levels need up to {ENOUGH} '
        f'validations; the patch sets it to {wanted}',
        PATCH,
    )
    cfg.train_cfg.val_interval = wanted


def _check_strengths(model: Mapping[str, Any]) -> Iterator[Finding]:
    """Give every SCBCELoss the strength that one of them has."""
    losses = _our_losses(model)
    strengths = {loss['beta'] for loss in losses if 'beta' in loss}
    without = [loss for loss in losses if 'beta' not in loss]
    if len(strengths) != 1 or not without:
        return

    beta = strengths.pop()
    yield Finding(
        'error', f'some SCBCELoss have beta={beta!r}, and others have none', PATCH
    )
    for loss in without:
        loss['beta'] = beta


def _absent_weights(place: str, part: Any) -> Iterator[Finding]:
    """Look for files of pretrained weights that are not there, in a part and below."""
    below: dict[str, Any] = {}
    if isinstance(part, Mapping):
        below = {f'{place}.{key}': value for key, value in part.items()}
    elif isinstance(part, (list, tuple)):
        below = {f'{place}[{index}]': value for index, value in enumerate(part)}
    for name, value in below.items():
        yield from _absent_weights(name, value)

    keys = ['pretrained']
    if type_of(part) == 'Pretrained':
        keys.append('checkpoint')
    for key in keys:
        if not isinstance(part, Mapping) or not isinstance(part.get(key), str):
            continue
        path = osp.expanduser(part[key])
        if '://' not in path and not osp.isfile(path):
            yield Finding(
                'error',
                f'{place}.{key}: there is no file {osp.abspath(path)}',
                f'{place}.{key}: the path or the address (https://...) of a '
                'checkpoint\nor leave it out: the training then starts from random '
                'weights',
            )


def heads_of(model: Mapping[str, Any]) -> Iterator[tuple[str, ConfigDict]]:
    """Yield the place and the settings of each head."""
    for key in ('decode_head', 'auxiliary_head'):
        is_one = isinstance(model.get(key), Mapping)
        for index, head in enumerate(listed(model.get(key), f'model.{key}')):
            place = f'model.{key}[{index}]'
            if is_one:
                place = f'model.{key}'
            # K-Net trains by the losses of its first head.
            yield place, head.get('kernel_generate_head') or head


def losses_of(place: str, head: Mapping[str, Any]) -> list[Any]:
    """The losses of a head."""
    return listed(head.get('loss_decode'), f'{place}.loss_decode')


def _refused(model: Mapping[str, Any]) -> Finding | None:
    """A head or segmentor that has no label for each pixel."""
    parts: dict[str, Any] = {'model': model}
    parts |= heads_of(model)
    for place, part in parts.items():
        name = type_of(part)
        if name in REFUSED:
            return Finding(
                'error',
                f'{name} {REFUSED[name]}, so SCBCELoss cannot perturb its labels: use '
                'a head that predicts every pixel (FCNHead, UPerHead, ...)',
                f"{place} = dict(type='...')",
            )

    return None


def check_heads(model: Mapping[str, Any], training: bool = True) -> Iterator[Finding]:
    """Look at the heads of a segmentor, as a config describes it."""
    heads = dict(heads_of(model))
    finding = _refused(model)
    if training and finding is not None:
        yield finding
        return

    reason = _why_two_channels(model, heads)
    for place, head in heads.items():
        # Auxiliary heads predict nothing, and the labels of an STDCHead are boundaries.
        if type_of(head) == 'STDCHead' or (not training and 'auxiliary' in place):
            continue
        yield from _check_channels(place, head, reason)
        if training:
            yield from _check_losses(place, head)


def _why_two_channels(model: Mapping[str, Any], heads: Mapping[str, ConfigDict]) -> str:
    """Say why a segmentor cannot work with one channel; '' if it can."""
    if any(type_of(head) == 'PointHead' for head in heads.values()):
        return 'PointRend looks for uncertain points between the two best channels'
    if (
        type_of(model) == 'CascadeEncoderDecoder'
        or type_of(model.get('decode_head')) == 'IterativeDecodeHead'
    ):
        return 'cascades and K-Net look for a threshold that they do not have'
    for head in heads.values():
        sampler = head.get('sampler')
        if type_of(sampler) == 'OHEMPixelSampler' and sampler.get('thresh'):
            return 'OHEMPixelSampler with thresh takes a softmax over the channels'
    return ''


def _check_channels(place: str, head: ConfigDict, reason: str) -> Iterator[Finding]:
    """Look at the channels of a head, and give it those of a binary one."""
    fault = _fault_of_channels(place, head, reason)
    if fault is not None:
        yield Finding(fault.level, f'{place} {fault.message}', PATCH)

    channels = _channels_of(head)
    if channels not in (1, 2):
        head.update(num_classes=2, out_channels=1, threshold=0.5)
    if reason and channels != 2:
        head.update(num_classes=2, out_channels=2)
    elif channels == 1 and 'decode_head' in place:
        head.threshold = 0.5


def _fault_of_channels(place: str, head: ConfigDict, reason: str) -> Finding | None:
    """The worst that is wrong with the channels of a head."""
    channels = _channels_of(head)
    losses = losses_of(place, head)
    if channels == 1:
        return _fault_of_one_channel(head, losses, 'decode_head' in place, reason)
    if channels == 2:
        if any(_is_cross_entropy(loss, sigmoid=True) for loss in losses):
            return Finding(
                'warning',
                'has two channels without a background: each has a sigmoid of its own, '
                'and metrics take the softmax of both',
            )
        return None

    level = 'note'
    if any(type_of(loss) == 'SCBCELoss' for loss in losses):
        level = 'error'
    return Finding(level, f'has {channels} channels, and SCBCELoss is for binary heads')


def _fault_of_one_channel(
    head: ConfigDict, losses: Sequence[Any], decodes: bool, reason: str
) -> Finding | None:
    """The worst that is wrong with a head of one channel."""
    if reason:
        return Finding('error', f'cannot work with one channel: {reason}')
    if any(_is_cross_entropy(loss, sigmoid=False) for loss in losses):
        return Finding(
            'error', 'takes a softmax over one channel, which is 1 everywhere'
        )
    threshold = head.get('threshold') or 0.3
    if decodes and threshold != 0.5:
        return Finding(
            'warning',
            f'calls a pixel foreground above {threshold} (0.3 where no threshold is '
            'set), the metrics count at 0.5',
        )
    return None


def _is_cross_entropy(loss: Mapping[str, Any], sigmoid: bool) -> bool:
    """Whether a loss is MMSegmentation's of a sigmoid, or of a softmax."""
    is_cross_entropy = type_of(loss) == 'CrossEntropyLoss'
    return is_cross_entropy and bool(loss.get('use_sigmoid')) == sigmoid


def _channels_of(head: ConfigDict) -> int | None:
    return head.get('out_channels') or head.get('num_classes')


def _check_losses(place: str, head: ConfigDict) -> Iterator[Finding]:
    """Look at what a head trains with, and let it follow levels."""
    if head.get('ignore_index') in (0, 1):
        yield Finding(
            'error',
            f'{place}.ignore_index leaves all pixels of a class out of the loss',
            PATCH,
        )
        head.ignore_index = 255

    losses = losses_of(place, head)
    replaced = []
    for loss in losses:
        if type_of(loss) == 'SCBCELoss':
            yield from _unknown_arguments(place, loss)
        elif type_of(loss) != 'BoundaryLoss':
            replaced.append(type_of(loss))
    if replaced:
        words = f'{place} trains with {", ".join(replaced)}, which follows no levels'
        left_out = [name for name in replaced if name in _OF_REGIONS]
        if left_out:
            words += f'; {", ".join(left_out)} is left out: it has no target per pixel'
        if _channels_of(head) == 2:
            words += '; its two channels stay, and SCBCELoss takes their softmax'
        yield Finding('note', words, PATCH)

    following = _that_follow(losses)
    if following == losses:
        return
    head.loss_decode = following
    if len(following) == 1:
        head.loss_decode = following[0]


_ARGUMENTS = inspect.signature(SCBCELoss).parameters.keys() | {'type'}


def _that_follow(losses: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Losses for a head in the place of others, at least one SCBCELoss."""
    following: list[Mapping[str, Any]] = []
    for loss in losses:
        name = type_of(loss)
        if name == 'SCBCELoss':
            following.append({k: v for k, v in loss.items() if k in _ARGUMENTS})
        elif name == 'BoundaryLoss':
            following.append(loss)
        elif name not in _OF_REGIONS:
            following.append(_in_place_of(loss))
    if not following:
        following.append(dict(type='SCBCELoss'))
    return following


def _unknown_arguments(place: str, loss: Mapping[str, Any]) -> Iterator[Finding]:
    """Look for arguments that SCBCELoss does not have."""
    unknown = loss.keys() - _ARGUMENTS
    if unknown:
        yield Finding(
            'error',
            f'{place}.loss_decode: SCBCELoss has no {", ".join(sorted(unknown))}, '
            'which the config gives to its loss',
            PATCH,
        )


def _in_place_of(loss: Mapping[str, Any]) -> dict[str, Any]:
    """SCBCELoss with the weights of another loss."""
    ours: dict[str, Any] = dict(type='SCBCELoss')
    for key, value in loss.items():
        is_weight = key == 'loss_weight' and value != 1
        if is_weight or (key == 'class_weight' and len(value or ()) == 2):
            ours[key] = value
    return ours
