"""What the processes of a distributed training tell each other."""

from typing import Any

import torch.distributed as dist


def rank_and_size() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gathered(part: Any) -> list[Any]:
    """What each process gave, in the order of the ranks; all processes must call it."""
    _, size = rank_and_size()
    parts = [part] * size
    if size > 1:
        dist.all_gather_object(parts, part)
    return parts


def joined(part: Any) -> Any:
    """Sum of what the processes have counted, the same in each, by ``merge``."""
    whole, *others = gathered(part)
    for other in others:
        whole.merge(other)
    return whole
