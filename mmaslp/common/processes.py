"""What the processes of a distributed training tell each other."""

from typing import TypeVar

import torch.distributed as dist

Part = TypeVar('Part')


def gathered(part: Part) -> list[Part]:
    """What each process gave, in the order of the ranks; all processes must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return [part]
    parts: list = [part] * dist.get_world_size()
    if len(parts) > 1:
        dist.all_gather_object(parts, part)
    return parts
