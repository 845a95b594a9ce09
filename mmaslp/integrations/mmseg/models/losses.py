"""Self-calibrating binary cross entropy."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....common.arguments import (
    check_array,
    check_bool,
    check_number,
    check_text,
    optional,
)
from ....losses.criterion import SelfCalibratingBCE


class SCBCELoss(nn.Module):
    """Self-Calibrating Binary Cross Entropy for the heads of MMSegmentation.

    :class:`~mmaslp.losses.SelfCalibratingBCE` with the arguments that the heads of
    MMSegmentation pass. With :class:`ASLPHook` in ``custom_hooks``, the hook gives the
    levels, for all heads together. **Without the hook every call of the loss draws for
    itself** with the fixed ``alpha``, from torch's global generator.

    Args:
        beta (str | float, optional): See :class:`~mmaslp.losses.SelfCalibratingBCE`;
            without meaning under ``ASLPHook(levels='band')``. Defaults to None: 'HI'.
        alpha, deterministic, eps, per_pixel: See there; a hook that learns
            refuses ``alpha`` and ``eps``.
        reduction (str): 'none', 'mean' or 'sum'. Defaults to 'mean'.
        class_weight (Sequence[float], optional): Two weights, of background and of
            foreground pixels (by the unperturbed label). The mean still divides by the
            number of pixels, where MMSegmentation's softmax loss divides by the sum of
            the weights. Defaults to None.
        loss_weight (float): Factor of the loss, >= 0. Defaults to 1.0.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_sc_bce'.
        ignore_index (int): Label of pixels without a label, used if the head passes
            none. Defaults to 255.
        avg_non_ignore (bool): Average over the valid pixels only. False divides by all
            pixels, as the losses of MMSegmentation do by default. Defaults to True.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> # in a config; the head needs out_channels=1 or num_classes=2
        >>> loss_decode = dict(type='SCBCELoss', loss_weight=1.0)

    Source: `Model Calibration in Dense Classification with Adaptive Label Perturbation
    <https://arxiv.org/abs/2307.13539>`_.
    """

    def __init__(
        self,
        beta: str | float | None = None,
        alpha: float = 0.0,
        deterministic: bool = False,
        eps: float | None = None,
        per_pixel: bool = False,
        reduction: str = 'mean',
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_sc_bce',
        ignore_index: int = 255,
        avg_non_ignore: bool = True,
    ) -> None:
        super().__init__()
        self.class_weight = optional(
            check_array,
            'class_weight, of background and foreground,',
            class_weight,
            shape=(2,),
            low=0,
        )
        self.loss_weight = check_number('loss_weight', loss_weight, at_least=0)
        self.avg_non_ignore = check_bool('avg_non_ignore', avg_non_ignore)
        if 'loss' not in check_text('loss_name', loss_name):
            raise ValueError(
                f"loss_name must contain 'loss', got {loss_name!r}: MMSegmentation "
                f"adds up these values of a head only, take 'loss_{loss_name}'"
            )

        self.loss_name = loss_name
        self.criterion = SelfCalibratingBCE(
            beta=beta,
            ignore_index=ignore_index,
            reduction=reduction,
            alpha=alpha,
            deterministic=deterministic,
            eps=eps,
            per_pixel=per_pixel,
        )

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
        """Compute the loss and leave the margins for the hook.

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
            ValueError: If shapes do not fit, there are more than two channels, a label
                is outside {0, 1, ignore_index}, or the hook's sample is for another
                batch.
        """
        reduction = reduction_override or self.criterion.reduction
        if avg_factor is not None and reduction == 'sum':
            raise ValueError('avg_factor can not be used with reduction="sum"')
        if self.class_weight is not None:
            background, foreground = self.class_weight
            weight = torch.where(label == 1, foreground, background) * (
                1.0 if weight is None else weight
            )
        if avg_factor is not None:
            if not isinstance(avg_factor, Tensor):
                check_number('avg_factor', avg_factor, at_least=0)
            avg_factor = avg_factor + torch.finfo(torch.float32).eps
        elif not self.avg_non_ignore:
            avg_factor = max(label.numel(), 1)

        return self.loss_weight * self.criterion(
            cls_score,
            label,
            pixel_weight=weight,
            avg_factor=avg_factor,
            reduction=reduction,
            ignore_index=ignore_index,
            margin_weight=self.loss_weight,
        )
