"""How often a training of Lightning validates."""

import math
from typing import Any


def validations(trainer: Any) -> int | None:
    """Validations of a training, None if nobody knows."""
    if not trainer.enable_validation:
        return 0
    steps, epoch = _batches(trainer), trainer.num_training_batches
    interval, epochs = trainer.val_check_batch, trainer.check_val_every_n_epoch
    if math.isinf(steps) or interval is None or math.isinf(interval):
        return None
    if epochs is None:
        return int(steps // interval)
    return int(steps // epoch // epochs * max(1, epoch // interval))


def _batches(trainer: Any) -> float:
    """Batches of a training, inf if nobody knows."""
    lengths = [math.inf]
    if trainer.max_steps is not None and trainer.max_steps >= 0:
        lengths.append(trainer.max_steps * trainer.accumulate_grad_batches)
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        lengths.append(trainer.max_epochs * trainer.num_training_batches)
    return min(lengths)
