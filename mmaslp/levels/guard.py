"""The guard: it keeps levels from costing objects."""

import math
from dataclasses import dataclass
from statistics import median_low

import torch
from torch import Tensor

# IoU of the foreground below which a network finds hardly any object.
FLOOR = 0.2
# Levels are at most this times TP / (FP + FN).
ODDS = 1 / 3
# Standard errors over images that a figure may lie below its best.
NOISE = 2.0
# What one step back leaves of the levels.
BACK = 0.5


@dataclass(frozen=True)
class Best:
    """Best medians so far of IoU and accuracy, and their errors over images then."""

    iou: float = -math.inf
    iou_se: float = math.nan
    acc: float = -math.inf
    acc_se: float = math.nan

    def after(self, iou: float, iou_se: float, acc: float, acc_se: float) -> 'Best':
        """The best once a validation has come."""
        by_iou = (iou, iou_se) if iou > self.iou else (self.iou, self.iou_se)
        by_acc = (acc, acc_se) if acc > self.acc else (self.acc, self.acc_se)
        return Best(*by_iou, *by_acc)


def apply_guard(
    levels: Tensor, stepped: Tensor, iou: float, acc: float, best: Best
) -> tuple[Tensor, str | None]:
    """Levels that a validation allows, and why they do not follow the gaps.

    ``stepped`` are levels that follow the gaps, ``iou`` and ``acc`` medians of the last
    three validations, ``best`` those of the best so far, this validation included.
    docs/levels.md has the rules.
    """
    if not iou >= FLOOR:
        return torch.zeros_like(levels), (
            f'the network finds hardly any object: the IoU of the foreground is '
            f'{iou:.2f} on the validation set, below {FLOOR}'
        )
    reason = None
    if iou < best.iou - NOISE * best.iou_se or acc < best.acc - NOISE * best.acc_se:
        stepped = BACK * levels
        reason = (
            'IoU or accuracy of the validation lies below its best by more than noise'
        )
    limit = math.inf if iou == 1.0 else ODDS * iou / (1.0 - iou)
    return stepped.clamp(max=limit), reason


def lower_median(values: list[float]) -> float:
    """Median, the lower one of two; nan counts as 0."""
    return median_low(0.0 if math.isnan(value) else value for value in values)
