"""The guard: levels never cost objects."""

from dataclasses import dataclass

__all__ = ['LEAST_RECALL', 'Quality', 'allowed_share', 'best_of']

# How many standard errors below its best a figure may lie.
NOISE = 2.0
# What is left of the levels after a validation that lies lower.
STEP_BACK = 0.5
# A network that finds a smaller share of the foreground has no gap worth following.
LEAST_RECALL = 0.05


@dataclass(frozen=True)
class Quality:
    """How well the masks of a validation fit.

    Attributes:
        iou (float): Intersection over union of the foreground, in [0, 1] or nan.
        iou_se (float): Its standard error over images; nan for one image.
        acc (float): Accuracy of the pixels, in [0, 1].
        acc_se (float): Its standard error over images; nan for one image.
        recall (float): Share of the foreground that is found, in [0, 1] or nan.
    """

    iou: float
    iou_se: float
    acc: float
    acc_se: float
    recall: float


def best_of(best: Quality | None, now: Quality) -> Quality:
    """Best IoU and best accuracy so far, each with its error; recall of the former."""
    if best is None:
        return now
    by_iou = now if not best.iou >= now.iou else best
    by_acc = now if not best.acc >= now.acc else best
    return Quality(by_iou.iou, by_iou.iou_se, by_acc.acc, by_acc.acc_se, by_iou.recall)


def allowed_share(now: Quality, best: Quality) -> float:
    """Share of the levels that may stay after a validation.

    Args:
        now (Quality): Of this validation.
        best (Quality): Of the validations so far, this one included.

    Returns:
        float: 1 while IoU and accuracy are within the noise of their best; 0 for a
        network that finds hardly any object; else a share in between.
    """
    if now.recall < LEAST_RECALL:
        return 0.0
    lost = _below(now.iou, now.iou_se, best.iou, best.iou_se) or _below(
        now.acc, now.acc_se, best.acc, best.acc_se
    )
    return STEP_BACK if lost else 1.0


def _below(now: float, now_se: float, best: float, best_se: float) -> bool:
    """Whether a figure lies below its best by more than noise; nan says no."""
    return best - now > NOISE * max(now_se, best_se)
