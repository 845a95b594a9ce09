"""Whether the levels of a training begin to move before it ends."""

import math
from collections.abc import Mapping

from .findings import Finding

__all__ = ['late_warmup']


def late_warmup(
    cfg: Mapping,
    warmup_epochs: float | None,
    warmup_iters: float | None,
    iters_per_epoch: int | None = None,
) -> Finding | None:
    """Refuse a warm-up that lasts as long as the training.

    Args:
        cfg (Mapping): A config with ``train_cfg``.
        warmup_epochs (float, optional): See ``ASLPHook``; None is shorter than every
            training.
        warmup_iters (float, optional): See there.
        iters_per_epoch (int, optional): Iterations that visit every image once.
            Defaults to None: not known; then warm-up and end are only compared if both
            are in epochs or both in iterations.
    """
    if warmup_epochs is None:
        if warmup_iters is None:
            return None
        warmup_epochs = math.nan
    loop = cfg.get('train_cfg') or {}
    epochs, iters = loop.get('max_epochs'), loop.get('max_iters')
    warmup, end, unit = warmup_epochs, epochs, 'epochs'
    if warmup_iters is not None or epochs is None:
        length = math.nan if iters_per_epoch is None else iters_per_epoch
        warmup = warmup_epochs * length if warmup_iters is None else warmup_iters
        end = epochs * length if iters is None and epochs is not None else iters
        unit = 'iterations'
    if end is None or not warmup >= end:
        return None
    return Finding(
        'error',
        f'the levels never move: the warm-up of ASLPHook lasts {warmup:g} {unit}, the '
        f'training {end:g}',
        f'custom_hooks: ASLPHook with fewer {unit} of warm-up',
    )
