"""What the probabilities alone tell of a mask and its objects, without a calibrator."""

import numpy as np
from torch import Tensor

from ..common.arrays import as_floats, as_tensor, checked, fill_ignored, known_pixels
from ..common.components import find_objects
from ..metrics.objects import MaskTable, MaskTruth


def mask_estimates(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = 255,
) -> MaskTable:
    """Estimate the mask of one map ``(H, W)`` or ``(D, H, W)``, beside its truth.

    An object is as probable as the mean of its pixels. The expected Dice, and what
    orders images, is the Soft Dice Confidence, which tells nothing of an empty mask.
    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    prob = as_floats(prob).cpu()
    labels = as_tensor(label, 'label').cpu().reshape(prob.shape)
    known = known_pixels(labels, ignore_index)
    values = checked(fill_ignored(prob, known)).numpy()
    valid = True if known.all() else known.numpy()
    del known  # of a volume it is large
    mask = values > 0.5
    objects, number = find_objects(mask)

    # Few pixels of a volume are in its mask.
    inside = values[mask]
    owner = objects[mask]
    pixels = np.bincount(owner, minlength=number + 1)[1:]
    mass = np.bincount(owner, inside, number + 1)[1:]

    valid_inside = np.broadcast_to(valid, mask.shape)[mask]
    size = np.count_nonzero(valid_inside)
    expected = np.nan
    if size:
        mass_inside = inside.sum(where=valid_inside, dtype=np.float64)
        total = values.sum(where=valid, dtype=np.float64)
        expected = float(2 * mass_inside / (size + total))
    truth = MaskTruth.of(mask, labels.numpy(), objects, number, ignore_index)
    return MaskTable.of_image(truth, mass / pixels, expected, expected)
