"""What the processes of a distributed training tell each other."""

from typing import Any

import torch.distributed as dist


def gathered(part: Any) -> list[Any]:
    """What each process gave, in the order of the ranks; all processes must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return [part]
    parts = [part] * dist.get_world_size()
    if len(parts) > 1:
        dist.all_gather_object(parts, part)
    return parts


def joined(part: Any) -> Any:
    """Sum of what the processes have counted, the same in each, by ``merge``."""
    whole, *others = gathered(part)
    for other in others:
        whole.merge(other)
    return whole
