"""The images of an evaluation set, which several processes share."""

from collections.abc import Iterable
from typing import Any

import torch
from accelerate.state import GradientState, PartialState
from accelerate.utils import reduce
from torch import Tensor, nn

from ...core.calibrators import CalibrationTables
from ...core.calibrators.tables import joined
from .outputs import class_maps, foreground_logits


@torch.no_grad()
def counted(
    model: nn.Module, loader: Iterable[dict[str, Any]], ignore_index: int
) -> CalibrationTables:
    """Count an evaluation set, which several processes share, for a calibrator."""
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
    return joined(tables)


def images_once(num_images: int) -> int:
    """Count the images of a batch, the first, that accelerate does not repeat."""
    gradient = GradientState()
    if not gradient.end_of_dataloader or gradient.remainder <= 0:
        return num_images
    before = PartialState().process_index * num_images
    return min(max(gradient.remainder - before, 0), num_images)


def added_up(sums: Tensor) -> Tensor:
    """Sum of a tensor over all processes, on the CPU."""
    return reduce(sums.to(PartialState().device), 'sum').cpu()
