"""Loss and validation patches of the trainers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...common.arrays import one_logit
from ...levels.bands import BandLevels
from ...levels.image_bands import ImageBandLevels
from ...losses.criterion import SelfCalibratingBCE
from ...losses.targets import Sample, SmoothedByBand, Strength


@dataclass
class FixedPatches:
    """Repeats the first batches of a loader of nnU-Net, which draws with numpy.

    With new patches in every epoch, the best of many validations is the luckiest draw,
    and levels that guard the masks against it step back without a cause. Each process
    has patches of its own.
    """

    loader: Any
    batches: int
    rank: int
    drawn: int = 0

    def set_thread_id(self, thread_id: int) -> None:
        """Be a loader to batchgenerators."""

    def __next__(self) -> dict[str, Any]:
        state = np.random.get_state()
        np.random.seed(self.rank * self.batches + self.drawn % self.batches)
        self.drawn += 1
        try:
            return next(self.loader)
        finally:
            np.random.set_state(state)


@dataclass(frozen=True)
class Targets:
    """How nnU-Net lays out targets: one label map, or a channel for each region.

    With regions the last channel of a target marks the pixels without a label, if there
    is an ``ignore_label``.
    """

    regions: bool
    ignore_label: int | None = None

    def labelled(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split a target into labels, 0 where ignored, and where there is a label.

        ``(N, 1, ...)`` labels, or ``(N, C, ...)`` regions and, with an ignore label,
        one channel more; the mask is ``(N, 1, ...)`` bool, or None where all are.
        """
        if self.ignore_label is None:
            return target, None
        if self.regions:
            return target[:, :-1], target[:, -1:] == 0
        mask = target != self.ignore_label
        return torch.where(mask, target, 0), mask

    def binary(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and int16 labels of {0, 1, 255} of every foreground on its own.

        Two logits of a softmax become one, their difference; those of regions stay.
        """
        if not self.regions:
            logits = one_logit(logits).unsqueeze(1)
        labels, mask = self.labelled(target)
        labels = labels.to(torch.int16)  # as it is, so that wrong ones are refused
        if mask is not None:
            labels = labels.masked_fill(~mask, 255)
        return logits, labels


class SelfCalibratingLoss(nn.Module):
    """SC-BCE, and nnU-Net's Dice loss, if given, beside it with the same weight."""

    def __init__(
        self, criterion: nn.Module, targets: Targets, dice: Callable | None = None
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.targets = targets
        self.dice = dice

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of one scale of the deep supervision."""
        logits, binary_labels = self.targets.binary(output, target)
        loss = self.criterion(logits, binary_labels)
        if self.dice is None:
            return loss
        labels, mask = self.targets.labelled(target)
        return loss + self.dice(output, labels, loss_mask=mask)


class DeepSupervision(nn.Module):
    """The losses of all scales with nnU-Net's weights, of which the last may be 0."""

    def __init__(
        self, finest: nn.Module, coarser: nn.Module, weights: Sequence[float]
    ) -> None:
        super().__init__()
        self.finest = finest
        self.coarser = coarser
        self.weights = tuple(weights)

    def forward(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Add up the losses; the finest scale comes first."""
        total = self.weights[0] * self.finest(outputs[0], targets[0])
        for weight, output, target in zip(
            self.weights[1:], outputs[1:], targets[1:], strict=True
        ):
            if weight:
                total = total + weight * self.coarser(output, target)
        return total


class PatchWeights:
    """Weights that the finest scale measures and all scales of a batch share.

    So a patch has one weight, and the mean error is that of the finest scale, however
    many scales there are. nnU-Net leaves the last one out on one GPU, not on several.
    """

    def __init__(self, levels: ImageBandLevels) -> None:
        self.levels = levels

    def measured(self, errors: Tensor) -> Tensor:
        """Weights ``(N,)`` by the errors of the finest scale."""
        self.weights = self.levels.weights_of(errors)
        return self.weights

    def repeated(self, errors: Tensor) -> Tensor:
        """The same weights, for a coarser scale."""
        return self.weights


@dataclass(frozen=True)
class SmoothedByPatchAndBand(SmoothedByBand):
    """Labels smoothed by the level of their band times the weight of their patch."""

    weights_of: Callable[[Tensor], Tensor]

    def strength(
        self,
        labels: Tensor,
        valid: Tensor | None,
        sample: Sample | None,
        training: bool,
    ) -> Strength:
        """See :meth:`~mmaslp.losses.targets.Target.strength`."""
        by_band = super().strength(labels, valid, sample, training)
        if not training:
            return by_band
        return replace(by_band, weights_of=self.weights_of)


@dataclass(frozen=True)
class Criteria:
    """SC-BCE of the finest scale and of the coarser ones."""

    finest: SelfCalibratingBCE
    coarser: SelfCalibratingBCE


def criteria_of(levels: BandLevels) -> Criteria:
    """Make the criteria of a network that may have deep supervision."""
    finest = SelfCalibratingBCE(levels, channels='independent')
    coarser = SelfCalibratingBCE(levels, channels='independent')
    if isinstance(levels, ImageBandLevels):
        weights = PatchWeights(levels)
        finest.target = SmoothedByPatchAndBand(levels, weights.measured)
        coarser.target = SmoothedByPatchAndBand(levels, weights.repeated)
    return Criteria(finest, coarser)
