"""Exchange of margins between the processes of a distributed training."""

import numpy as np
import torch.distributed as dist

__all__ = ['exchange_margins']


def exchange_margins(
    rows: np.ndarray, margin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Join the rows and margins of all processes, in the order of the ranks.

    Every process must call it in every step; the batches may differ in length. The
    traffic depends only on the number of visited images, not on the size of the bank.

    Args:
        rows (np.ndarray): ``(N,)``, int64.
        margin (np.ndarray): ``(N,)``, float64.

    Returns:
        tuple[np.ndarray, np.ndarray]: Those of all processes, ``(M,)`` each; the
        arguments themselves without a process group or with one process.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return rows, margin
    number = dist.get_world_size()
    if number == 1:
        return rows, margin
    parts: list = [None] * number
    dist.all_gather_object(parts, (rows, margin))
    return tuple(np.concatenate(each) for each in zip(*parts))  # type: ignore[return-value]
