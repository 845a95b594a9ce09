"""Dice and SC-BCE for the outputs and targets of nnU-Net."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ['SelfCalibratingLoss', 'Targets']

IGNORED = 255


class Targets:
    """How nnU-Net lays out targets: one label map, or a channel for each region.

    Args:
        regions (bool): Whether the heads are sigmoids, one a region.
        ignore_label (int, optional): The label of pixels without a label; with regions
            the last channel of a target marks them instead. Defaults to None: every
            pixel has a label.
    """

    def __init__(self, regions: bool, ignore_label: int | None = None) -> None:
        self.regions = regions
        self.ignore_label = ignore_label

    def known(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split a target into labels, 0 where ignored, and where labels are known.

        Args:
            target (Tensor): ``(N, 1, ...)`` labels, or ``(N, C, ...)`` regions and,
                with an ignore label, one channel more.

        Returns:
            tuple[Tensor, Tensor | None]: Labels, and ``(N, 1, ...)`` bool or None.
        """
        if self.ignore_label is None:
            return target, None
        if self.regions:
            return target[:, :-1], target[:, -1:] == 0
        known = target != self.ignore_label
        return torch.where(known, target, 0), known

    def binary(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Lay out every foreground as a binary map of its own.

        Args:
            logits (Tensor): ``(N, 2, ...)`` of a softmax, ``(N, C, ...)`` of regions.
            target (Tensor): See :meth:`known`.

        Returns:
            tuple[Tensor, Tensor]: Logits of the foregrounds and uint8 labels of {0, 1,
            255}, both ``(N, 1, ...)`` or ``(N, C, ...)``.
        """
        if not self.regions:
            logits = logits[:, 1:] - logits[:, :1]
        labels, known = self.known(target)
        labels = labels.to(torch.uint8)
        if known is not None:
            labels = labels.masked_fill(~known, IGNORED)
        return logits, labels


class SelfCalibratingLoss(nn.Module):
    """SC-BCE, and nnU-Net's Dice loss beside it with the same weight.

    Args:
        criterion (nn.Module): SC-BCE of independent channels.
        targets (Targets): How targets are laid out.
        dice (Callable, optional): nnU-Net's Dice loss. Defaults to None: SC-BCE alone.
    """

    def __init__(
        self, criterion: nn.Module, targets: Targets, dice: Callable | None = None
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.targets = targets
        self.dice = dice

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of one scale of the deep supervision."""
        loss = self.criterion(*self.targets.binary(output, target))
        if self.dice is None:
            return loss
        labels, known = self.targets.known(target)
        return loss + self.dice(output, labels, loss_mask=known)
