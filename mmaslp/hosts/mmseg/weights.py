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
    misfits = {key: f'{key} is missing' for key in found.missing_keys}
    misfits |= {key: f'{key} is unknown' for key in found.unexpected_keys}
    misfits |= resized
    said = [text for key, text in misfits.items() if not _NOT_PREDICTING.match(key)]
    more = ', ...' if len(said) > _MAX_LISTED else ''
    listed = f'{", ".join(said[:_MAX_LISTED])}{more}'
    return f'{len(said)} of its {len(own)} weights differ: {listed}' if said else ''


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
