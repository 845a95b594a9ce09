"""Overlap and accuracy of masks over images, with their errors over images."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

# Sums over images, whole numbers all: pixels, then shares of an image's valid pixels
# in units of 1 / SHARE and their products.
MOMENTS = (
    *('images', 'ignored', 'tp', 'fp', 'fn'),
    *('hit', 'union', 'hit_hit', 'hit_union', 'union_union', 'right', 'right_right'),
)
SHARE = 2**20


def image_moments(
    size: int,
    predicted: np.ndarray,
    label: np.ndarray,
    correct: np.ndarray,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Add up what every image tells of its mask."""
    count = np.full_like(correct, size) if valid is None else valid
    # Every wrong pixel is in one of the masks only.
    tp = (predicted + label - (count - correct)) // 2
    fp, fn = predicted - tp, label - tp
    some = count.clip(min=1)
    hit, union, right = (
        (pixels * SHARE + some // 2) // some for pixels in (tp, tp + fp + fn, correct)
    )
    values = [
        *(count > 0, size - count, tp, fp, fn),
        *(hit, union, hit * hit, hit * union, union * union, right, right * right),
    ]
    return np.array(values, np.int64).sum(1)


def image_figures(sums: Tensor) -> dict[str, float]:
    r"""Compute overlap, accuracy and their standard errors over images drawn at random.

    With :math:`t_i` and :math:`u_i` the shares of the n images that intersection and
    union of the masks take, the delta method gives for :math:`R = \sum t_i / \sum u_i`

    .. math::
        se^2 = \frac{n}{n - 1} \sum_i (t_i - R u_i)^2 \Big/ \Big(\sum_i u_i\Big)^2

    Source: Cochran, Sampling Techniques, 1977, chapter 6.
    """
    of = dict(zip(MOMENTS, sums.tolist()))
    n, union = of['images'], of['union']
    found = dict(
        iou=_ratio(of['tp'], of['tp'] + of['fp'] + of['fn']),
        iou_se=math.nan,
        recall=_ratio(of['tp'], of['tp'] + of['fn']),
        acc_se=math.nan,
        num_images=n,
    )
    if n < 2:
        return found
    # Whole numbers until the end: no digit is lost where all images are alike.
    spread = n * of['right_right'] - of['right'] ** 2
    found['acc_se'] = math.sqrt(spread / (n * n * (n - 1))) / SHARE
    if union:
        residual = (
            union**2 * of['hit_hit']
            - 2 * union * of['hit'] * of['hit_union']
            + of['hit'] ** 2 * of['union_union']
        )
        found['iou_se'] = math.sqrt(n / (n - 1) * (residual / union**4))
    return found


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
