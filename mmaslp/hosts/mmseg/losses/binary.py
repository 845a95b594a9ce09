"""The common part of the losses of binary heads: inputs, weights and reduction."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....core.argument_checks import (
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_text,
)
from ....core.levels.eager import run_eagerly
from ....core.levels.inputs import (
    at_least_float32,
    check_channels,
    split_labels,
)
from ....core.levels.label_watch import LabelWatch
from ....core.levels.loss import REDUCTIONS

_EPS = torch.finfo(torch.float32).eps


class BinaryLoss(nn.Module):
    """Base of the losses for heads with one channel, or with two for two classes.

    A subclass gives the loss of every pixel, :meth:`pixel_loss`. The base checks and
    masks the inputs, weights the pixels and reduces them as the losses of
    MMSegmentation do.

    Args:
        reduction (str): 'none', 'mean' or 'sum'. Defaults to 'mean'.
        class_weight (Sequence[float] | str, optional): Two weights, of background and
            of foreground pixels, or a .npy or .json file that holds them. The loss of a
            pixel is multiplied by the weight of its label. The mean still divides by
            the number of pixels. (MMSegmentation's softmax loss divides by the sum of
            the weights. Its sigmoid loss for one channel does not; there
            ``class_weight`` is the ``pos_weight`` of the foreground.) Defaults to None.
        loss_weight (float): Factor of the loss, >= 0. Defaults to 1.0.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to 'loss_binary'.
        ignore_index (int): Label of pixels without a label, used if the head passes
            none. Defaults to 255.
        avg_non_ignore (bool): Average over the valid pixels only. False divides by all
            pixels, as MMSegmentation's losses do by default. Defaults to True.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        reduction: str = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_binary',
        ignore_index: int = 255,
        avg_non_ignore: bool = True,
    ):
        super().__init__()
        self.reduction = check_choice('reduction', reduction, REDUCTIONS)
        self.class_weight = _load_class_weight(class_weight)
        self.loss_weight = check_number('loss_weight', loss_weight, at_least=0)
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.avg_non_ignore = check_bool('avg_non_ignore', avg_non_ignore)
        self._loss_name = _check_loss_name(loss_name)

    watch: LabelWatch | None = None

    @property
    def loss_name(self) -> str:
        """str: Name under which the head reports the loss."""
        return self._loss_name

    # The check of the labels reads values, which a compiled train_step (cfg.compile)
    # cannot trace. It skips this call instead of failing.
    @run_eagerly
    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
        **kwargs,
    ) -> Tensor:
        """Compute the loss.

        Args:
            cls_score (Tensor): Logits: ``(N, 1, H, W)``, ``(N, 2, H, W)`` or points
                ``(N, 1 | 2, P)``; half precision is computed in float32.
            label (Tensor): Labels in {0, 1, ignore_index}, ``(N, H, W)`` or ``(N, P)``,
                a channel axis of size 1 is allowed.
            weight (Tensor, optional): Weight per pixel, of the shape of ``label`` or
                broadcasting with it. Defaults to None.
            avg_factor (float, optional): Divisor of the sum, with reduction 'mean'.
                Defaults to None.
            reduction_override (str, optional): 'none', 'mean' or 'sum'. Defaults to
                None.
            ignore_index (int, optional): Overrides that of the constructor. Defaults to
                None.
            **kwargs: Ignored, for heads that pass more.

        Returns:
            Tensor: Scalar, or of the shape ``(N, H, W)`` / ``(N, P)`` with reduction
            'none'. Ignored pixels give 0; a batch with only such pixels gives 0.

        Raises:
            ValueError: If shapes do not fit, there are more than two channels, or a
                label is outside {0, 1, ignore_index}.
        """
        reduction = self._resolve_reduction(reduction_override, avg_factor)
        labels, valid = self._split_labels(label, cls_score, ignore_index)
        scores = at_least_float32(cls_score)
        if valid is not None:
            scores = scores.masked_fill(~valid.unsqueeze(1), 0.0)
        labels = labels.to(scores.dtype)
        loss = self.pixel_loss(scores, labels, valid)
        if valid is not None:
            loss = loss.masked_fill(~valid, 0.0)
        loss = self._weigh(loss, labels, weight, valid)
        return self.loss_weight * self._reduce(loss, reduction, avg_factor, valid)

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Loss of every pixel.

        Args:
            scores (Tensor): Logits ``(N, 1 | 2, ...)``, at least float32, 0 where
                ``valid`` is False.
            labels (Tensor): 0 or 1 (0 where ``valid`` is False), ``(N, ...)``, of the
                dtype of ``scores``.
            valid (Tensor, optional): Bool ``(N, ...)``, or None if every pixel is
                valid.

        Returns:
            Tensor: ``(N, ...)``; values where ``valid`` is False have no effect.
        """
        raise NotImplementedError

    def _resolve_reduction(
        self, reduction_override: str | None, avg_factor: float | None
    ) -> str:
        reduction = self.reduction
        if reduction_override is not None:
            reduction = check_choice(
                'reduction_override', reduction_override, REDUCTIONS
            )
        if avg_factor is not None and reduction == 'sum':
            raise ValueError('avg_factor can not be used with reduction="sum"')
        return reduction

    def _split_labels(
        self, label: Tensor, cls_score: Tensor, ignore_index: int | None
    ) -> tuple[Tensor, Tensor | None]:
        check_channels(cls_score)
        if ignore_index is None:
            ignore_index = self.ignore_index
        labels = _match_labels(label, cls_score)
        return split_labels(labels, ignore_index, self.watch)

    def _weigh(
        self,
        loss: Tensor,
        labels: Tensor,
        weight: Tensor | None,
        valid: Tensor | None,
    ) -> Tensor:
        if self.class_weight is not None:
            background, foreground = self.class_weight
            loss = loss * torch.where(labels > 0, foreground, background)
        if weight is None:
            return loss
        return loss * _fit_weight(weight, loss, valid)

    def _reduce(
        self,
        loss: Tensor,
        reduction: str,
        avg_factor: float | None,
        valid: Tensor | None,
        num_pixels: int | None = None,
    ) -> Tensor:
        """Reduce; ``loss`` is per pixel, or per image with ``num_pixels`` in all."""
        if reduction == 'none':
            return loss
        if num_pixels is None:
            num_pixels = loss.numel()
        loss = loss.sum()
        if reduction == 'sum':
            return loss
        if avg_factor is not None:
            return loss / (avg_factor + _EPS)
        if valid is not None and self.avg_non_ignore:
            return loss / valid.sum().clamp_min(1)
        return loss / max(num_pixels, 1)


def _match_labels(label: Tensor, cls_score: Tensor) -> Tensor:
    expected = cls_score.shape[:1] + cls_score.shape[2:]
    if label.dim() == cls_score.dim() and label.size(1) == 1:
        label = label.squeeze(1)
    if label.shape != expected:
        raise ValueError(
            f'label of shape {tuple(label.shape)} does not fit cls_score of shape '
            f'{tuple(cls_score.shape)}: expected {tuple(expected)}'
        )
    return label


def _check_loss_name(loss_name: str) -> str:
    check_text('loss_name', loss_name)
    if 'loss' not in loss_name:
        raise ValueError(
            f"loss_name must hold 'loss', got {loss_name!r}: MMSegmentation adds up "
            f"these values of a head only, take 'loss_{loss_name}'"
        )
    return loss_name


def _load_class_weight(class_weight) -> tuple[float, float] | None:
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        class_weight = _read_file(class_weight)
    if not isinstance(class_weight, (Sequence, np.ndarray)) or len(class_weight) != 2:
        raise ValueError(
            'class_weight must be two numbers, of background and of foreground, got '
            f'{class_weight!r}'
        )
    background, foreground = (
        check_number(f'class_weight of the {name}', weight, at_least=0)
        for name, weight in zip(('background', 'foreground'), class_weight)
    )
    return background, foreground


def _read_file(path: str) -> Any:
    if path.endswith('.npy'):
        return np.load(path)
    if path.endswith('.json'):
        return json.loads(Path(path).read_text(encoding='utf-8'))
    # MMSegmentation also reads pickles and its YAML, which can run any code.
    raise ValueError(
        f'class_weight={path!r}: give two numbers, or a file that ends in .npy or .json'
    )


def _fit_weight(weight: Tensor, loss: Tensor, valid: Tensor | None) -> Tensor:
    """Give every pixel of a loss ``(N, ...)`` its weight; 0 where it is not valid."""
    weight = weight.float()
    if weight.dim() == loss.dim() + 1 and weight.size(1) == 1:
        weight = weight.squeeze(1)
    try:
        weight = weight.expand_as(loss)
    except RuntimeError as error:
        raise ValueError(
            f'weight of shape {tuple(weight.shape)} does not fit the labels of shape '
            f'{tuple(loss.shape)}'
        ) from error
    return weight if valid is None else weight.masked_fill(~valid, 0.0)
