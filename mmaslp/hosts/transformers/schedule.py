"""How often a training evaluates while levels can still act."""

import math
import sys
from typing import Any

from ..moves import ENOUGH, check_moves


def evaluations_before_end(args: Any, state: Any) -> int:
    """Count the evaluations that training steps follow."""
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


def warmup_of(args: Any, state: Any, given: int | None) -> int:
    """Evaluations before the levels move: ``given``, or None for a third of them."""
    found = evaluations_before_end(args, state)
    warmup = found // 3 if given is None else given
    line = _line(state.max_steps, given)
    remedy = f'give TrainingArguments {line}, or SelfCalibration levels=None'
    check_moves(found - warmup, remedy)
    return warmup


def _line(max_steps: int, warmup: int | None) -> str:
    """Arguments that evaluate often enough."""
    wanted = ENOUGH + (ENOUGH // 2 if warmup is None else warmup)
    steps = max_steps // (wanted + 1)
    longer = '' if steps else f'max_steps={wanted + 1}, '
    return f"{longer}eval_strategy='steps', eval_steps={max(1, steps)}"
