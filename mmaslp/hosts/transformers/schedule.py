"""How often a training evaluates while levels can still act."""

import math
import sys
from typing import Any

__all__ = ['check_schedule', 'evaluations_before_end']

# Fewer moves than these leave most of a gap (docs/rules.md).
LEAST_MOVES = 10


def evaluations_before_end(args: Any, state: Any) -> int:
    """Count the evaluations that training steps follow.

    Args:
        args (TrainingArguments): With ``eval_strategy`` and ``eval_delay``.
        state (TrainerState): At the beginning of the training.

    Raises:
        ValueError: If it cannot be known, for epochs without a length.
    """
    on_start = int(args.eval_on_start)
    if args.eval_strategy == 'steps':
        steps = range(int(state.eval_steps), state.max_steps, int(state.eval_steps))
        return on_start + sum(step >= args.eval_delay for step in steps)
    if args.eval_strategy != 'epoch':
        return on_start
    if state.num_train_epochs == sys.maxsize:
        raise ValueError(
            'the epochs of a training set without a length cannot be counted: give '
            f'TrainingArguments {_line(state.max_steps, 0)}'
        )
    first = max(1, math.ceil(args.eval_delay))
    return on_start + max(0, state.num_train_epochs - first)


def check_schedule(args: Any, state: Any, warmup: int | None) -> int:
    """Refuse a training in which levels could not follow the gaps.

    Args:
        args (TrainingArguments): See :func:`evaluations_before_end`.
        state (TrainerState): See there.
        warmup (int, optional): Evaluations before the levels move. None: a third of
            them.

    Returns:
        int: The evaluations before the levels move.

    Raises:
        ValueError: If fewer than ``LEAST_MOVES`` evaluations lie between the warm-up
            and the end.
    """
    found = evaluations_before_end(args, state)
    given = found // 3 if warmup is None else warmup
    if found - given >= LEAST_MOVES:
        return given
    raise ValueError(
        f'levels move at the evaluations after the warm-up, but of {found} evaluations '
        f'before the end {given} are warm-up, and fewer than {LEAST_MOVES} moves close '
        f'hardly any gap: give TrainingArguments {_line(state.max_steps, warmup)}, or '
        'SelfCalibration levels=None'
    )


def _line(max_steps: int, warmup: int | None) -> str:
    """Arguments that evaluate often enough."""
    own = -(-LEAST_MOVES // 2) if warmup is None else warmup
    steps = max_steps // (LEAST_MOVES + own + 1)
    if not steps:
        return f'more than {max_steps} steps of training'
    return f"eval_strategy='steps', eval_steps={steps}"
