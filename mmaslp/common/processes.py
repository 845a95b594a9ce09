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


def joined(part: Part) -> Part:
    """Sum of what the processes have counted, the same in each, by ``merge``."""
    whole, *others = gathered(part)
    for other in others:
        whole.merge(other)  # type: ignore[attr-defined]
    return whole
