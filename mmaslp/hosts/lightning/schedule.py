"""How long a training of Lightning lasts and how often it validates."""

import math
from typing import Any

__all__ = ['training_steps', 'validations', 'visits_between_validations']


def training_steps(trainer: Any) -> int | None:
    """Batches of a training, None if nobody knows.

    Args:
        trainer (Trainer): With its training loader set up.
    """
    lengths = []
    if trainer.max_steps is not None and trainer.max_steps >= 0:
        lengths.append(trainer.max_steps * trainer.accumulate_grad_batches)
    epochs = trainer.max_epochs
    if epochs is not None and epochs >= 0:
        lengths.append(epochs * trainer.num_training_batches)
    shortest = min(lengths, default=math.inf)
    return None if math.isinf(shortest) else int(shortest)


def validations(trainer: Any) -> int | None:
    """Validations of a training, None if nobody knows.

    Args:
        trainer (Trainer): With its training loader set up.
    """
    if not trainer.enable_validation:
        return 0
    steps, epoch = training_steps(trainer), trainer.num_training_batches
    interval, epochs = trainer.val_check_batch, trainer.check_val_every_n_epoch
    if steps is None or interval is None or math.isinf(interval):
        return None
    if epochs is None:
        return int(steps // interval)
    return int(steps // epoch // epochs * max(1, epoch // interval))


def visits_between_validations(trainer: Any) -> float:
    """Visits of an image between two validations, at least 1.

    With less than one visit, the visited images take the whole step.

    Args:
        trainer (Trainer): With its training loader set up.
    """
    interval, epoch = trainer.val_check_batch, trainer.num_training_batches
    epochs = trainer.check_val_every_n_epoch
    if interval is None or math.isinf(epoch) or math.isinf(interval):
        return 1.0  # by the clock, or an epoch without an end
    if epochs is None:
        return max(1.0, interval / epoch)
    return 1.0 if interval < epoch else float(epochs)
