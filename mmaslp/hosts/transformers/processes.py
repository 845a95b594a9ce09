"""The images of an evaluation that several processes share."""

from accelerate.state import GradientState, PartialState
from accelerate.utils import reduce
from torch import Tensor

__all__ = ['added_up', 'images_once', 'rank_and_number']


def rank_and_number() -> tuple[int, int]:
    """Rank of this process, and number of processes."""
    state = PartialState()
    return state.process_index, state.num_processes


def images_once(num_images: int) -> int:
    """Count the images of a batch that no other process has.

    Where the last batches do not fill up, accelerate repeats images at their end.

    Args:
        num_images (int): Images in the batch of this process.

    Returns:
        int: How many of them count, from the first on.
    """
    gradient = GradientState()
    if not gradient.end_of_dataloader or gradient.remainder <= 0:
        return num_images
    before = rank_and_number()[0] * num_images
    return min(max(gradient.remainder - before, 0), num_images)


def added_up(sums: Tensor) -> Tensor:
    """Sum of a tensor over all processes, on the CPU."""
    return reduce(sums.to(PartialState().device), 'sum').cpu()
