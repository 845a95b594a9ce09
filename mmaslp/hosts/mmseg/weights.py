"""Whether the weights of a checkpoint are those of the model of a config."""

import logging
import os.path as osp
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor

__all__ = ['Misfit', 'WeightsHook', 'compare_weights', 'watch_weights']

# What predicts nothing: checkpoints and configs may differ there.
_NOT_PREDICTING = re.compile(r'auxiliary_head\.|data_preprocessor\.|.*\bloss_decode\.')
# How many names one message lists; a warning for the log lists all.
_MAX_LISTED = 3


@dataclass(frozen=True)
class Misfit:
    """How the weights of a file differ from those of a model."""

    missing: Sequence[str]
    resized: Sequence[str]
    unknown: Sequence[str]
    total: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.resized or self.unknown)

    def exception(self) -> ValueError:
        """Return the refusal of the weights."""
        return ValueError(
            f'the checkpoint does not fit the model of the config: {self.describe()}. '
            'Take the config that it was trained with'
        )

    def describe(self, limit: int | None = _MAX_LISTED) -> str:
        """Say what differs."""
        parts = (
            (self.missing, f'of the {self.total} weights of the model are not in it'),
            (self.resized, 'have another shape'),
            (self.unknown, 'of its weights are not in the model'),
        )
        return '; '.join(
            f'{len(names)} {what} ({_listed(names, limit)})'
            for names, what in parts
            if names
        )


def compare_weights(model: Any, checkpoint: Mapping[str, Any]) -> Misfit:
    """Load what fits of a checkpoint, and say what does not.

    Auxiliary heads, losses and the preprocessor predict nothing and are not compared.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    given = checkpoint.get('state_dict', checkpoint)
    state = {
        re.sub(r'^module\.', '', key): value
        for key, value in given.items()
        if isinstance(value, Tensor)
    }
    own = model.state_dict()
    resized = [
        key for key in own if key in state and state[key].shape != own[key].shape
    ]
    shapes = {
        key: f'{key}: {tuple(state[key].shape)} for {tuple(own[key].shape)}'
        for key in resized
    }
    # torch knows which names modules have taken over from older versions.
    found = model.load_state_dict(
        {key: value for key, value in state.items() if key not in shapes}, strict=False
    )
    return Misfit(
        [*filter(_predicts, (k for k in found.missing_keys if k not in shapes))],
        [shapes[key] for key in filter(_predicts, resized)],
        [*filter(_predicts, found.unexpected_keys)],
        len(own),
    )


class WeightsHook(Hook):
    """Compares each checkpoint that a runner loads with its model.

    MMEngine loads what fits and goes on: a test would measure a partly random network.
    """

    priority = 'VERY_HIGH'

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare."""
        misfit = compare_weights(runner.model, checkpoint)
        if not misfit:
            return
        if self.strict:
            raise misfit.exception()
        print_log(
            'load_from does not fit the model everywhere; what is missing or has '
            f'another shape starts anew: {misfit.describe(None)}',
            logger='current',
            level=logging.WARNING,
        )


def watch_weights(runner: Any, path: str | None, strict: bool) -> None:
    """Let a runner compare what it will load."""
    if path is None or not osp.isdir(path):
        runner.register_hook(WeightsHook(strict))


def _predicts(name: str) -> bool:
    return _NOT_PREDICTING.match(name) is None


def _listed(names: Sequence[str], limit: int | None) -> str:
    more = '' if limit is None or len(names) <= limit else ', ...'
    return ', '.join(names[:limit]) + more
