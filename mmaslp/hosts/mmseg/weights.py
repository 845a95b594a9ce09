"""Whether the weights of a checkpoint are those of the model of a config."""

import logging
import os.path as osp
import re
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor

# What predicts nothing: checkpoints and configs may differ there.
_NOT_PREDICTING = re.compile(r'auxiliary_head\.|data_preprocessor\.|.*\bloss_decode\.')
_MAX_LISTED = 3


def load_weights(model: Any, checkpoint: Mapping[str, Any]) -> str:
    """Load what fits of a checkpoint, and say what does not.

    Auxiliary heads, losses and the preprocessor predict nothing and are not compared.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    given = checkpoint.get('state_dict', checkpoint)
    state = {
        re.sub(r'^module\.', '', str(key)): value
        for key, value in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(value, Tensor)
    }
    own = model.state_dict()
    resized = {
        key: f'{key}: {tuple(state.pop(key).shape)} for {tuple(value.shape)}'
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    }
    # torch knows which names modules have taken over from older versions.
    found = model.load_state_dict(state, strict=False)
    parts = (
        (
            [key for key in found.missing_keys if key not in resized],
            f'of the {len(own)} weights of the model are not in it',
        ),
        ([*resized.values()], 'have another shape'),
        (found.unexpected_keys, 'of its weights are not in the model'),
    )
    said = []
    for keys, what in parts:
        names = [key for key in keys if not _NOT_PREDICTING.match(key)]
        if names:
            more = ', ...' if len(names) > _MAX_LISTED else ''
            said.append(f'{len(names)} {what} ({", ".join(names[:_MAX_LISTED])}{more})')
    return '; '.join(said)


class WeightsHook(Hook):
    """Compares each checkpoint that a runner loads with its model.

    MMEngine loads what fits and goes on: a test would measure a partly random network.
    """

    priority = 'VERY_HIGH'

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare."""
        misfit = load_weights(runner.model, checkpoint)
        if misfit and self.strict:
            raise ValueError(
                f'the checkpoint does not fit the model of the config: {misfit}. Take '
                'the config that it was trained with'
            )
        if misfit:
            print_log(
                'load_from does not fit the model everywhere; what is missing or has '
                f'another shape starts anew: {misfit}',
                logger='current',
                level=logging.WARNING,
            )


def watch_weights(runner: Any, path: str | None, strict: bool) -> None:
    """Let a runner compare what it will load."""
    if path is None or not osp.isdir(path):
        runner.register_hook(WeightsHook(strict))
