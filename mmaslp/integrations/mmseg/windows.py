"""Object-free windows of validation images, run through the network."""

from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData

from ...augmentation.windows import SMALLEST, find_window, resized


def windows_of(
    batch: dict[str, Any], rng: np.random.Generator, smallest: float = SMALLEST
) -> dict[str, Any] | None:
    """A batch of one window of each image that has room for one; None without any.

    The masks of a validation may have another size than the images.
    """
    from mmseg.structures import SegDataSample  # after its registries are made

    inputs = []
    samples = []
    for image, sample in zip(batch['inputs'], batch['data_samples']):
        label = sample.gt_sem_seg.data
        window = find_window(label[0].cpu().numpy(), smallest, rng)
        if window is None:
            continue
        rows, columns = (
            _scaled(part, given, own)
            for part, given, own in zip(
                window.slices, label.shape[-2:], image.shape[-2:]
            )
        )

        inputs.append(resized(image[:, rows, columns], *image.shape[-2:]))
        own = SegDataSample(metainfo=sample.metainfo)
        own.gt_sem_seg = PixelData(data=torch.zeros_like(label))
        samples.append(own)
    return {'inputs': inputs, 'data_samples': samples} if samples else None


def _scaled(part: slice, given: int, own: int) -> slice:
    """The same part of an axis of another length, of a pixel at least, within it."""
    start = min(-(-part.start * own // given), own - 1)
    return slice(start, max(part.stop * own // given, start + 1))
