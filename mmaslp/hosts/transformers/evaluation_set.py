"""The images of an evaluation set, which several processes share."""

from collections.abc import Iterable
from typing import Any

import torch
from accelerate.state import GradientState, PartialState
from accelerate.utils import reduce
from torch import Tensor, nn

from ...core.calibrators import CalibrationTables
from .outputs import class_maps, foreground_logits

__all__ = ['added_up', 'counted', 'images_once']


@torch.no_grad()
def counted(
    model: nn.Module, loader: Iterable[dict[str, Any]], ignore_index: int
) -> CalibrationTables:
    """Count an evaluation set for a calibrator.

    Args:
        model (nn.Module): As it is now; it is set to evaluation.
        loader (Iterable[dict]): The part of the set that this process has.
        ignore_index (int): Label of pixels that do not count.

    Returns:
        CalibrationTables: Of all processes, the same in each.
    """
    tables, process = CalibrationTables(), PartialState()
    seen = 0
    model.eval()
    for batch in loader:
        labels = class_maps(batch['labels'])
        inputs = {key: value for key, value in batch.items() if key != 'labels'}
        logits = foreground_logits(model(**inputs), labels.shape[-2:])
        first = seen + process.process_index * len(labels)
        for image in range(images_once(len(labels))):
            key = first + image
            tables.update(logits[image], labels[image], key, ignore_index, logits=True)
        seen += process.num_processes * len(labels)
    tables.counts, tables.images = map(added_up, (tables.counts, tables.images))
    return tables


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
    before = PartialState().process_index * num_images
    return min(max(gradient.remainder - before, 0), num_images)


def added_up(sums: Tensor) -> Tensor:
    """Sum of a tensor over all processes, on the CPU."""
    return reduce(sums.to(PartialState().device), 'sum').cpu()
