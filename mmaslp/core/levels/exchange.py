"""Exchange between the processes of a distributed training."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist

__all__ = ['exchange_margins', 'join_tables']


def exchange_margins(
    rows: np.ndarray, margin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Join the rows and margins of all processes, in the order of the ranks.

    Every process must call it in every step; the batches may differ in length.
    """
    parts = _gather((rows, margin))
    if len(parts) == 1:
        return rows, margin
    return tuple(np.concatenate(each) for each in zip(*parts))  # type: ignore[return-value]


def join_tables(table: Any) -> Any:
    """BandTable of the whole validation, the same in every process.

    Each process gives its share of the validation, or each the whole one.
    """
    first, *others = _gather(table)
    if all(torch.equal(first.sums.cpu(), other.sums.cpu()) for other in others):
        return first
    for other in others:
        first.merge(other)
    return first


def _gather(part: Any) -> list:
    """What each process gave, in the order of the ranks."""
    if not (dist.is_available() and dist.is_initialized()):
        return [part]
    number = dist.get_world_size()
    if number == 1:
        return [part]
    parts: list = [None] * number
    dist.all_gather_object(parts, part)
    return parts
