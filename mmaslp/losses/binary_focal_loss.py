"""Focal loss of binary heads."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.aslp.tensors import binary_logits
from ..core.validation import check_number
from .binary import BinaryLoss, signed_logits


class BinaryFocalLoss(BinaryLoss):
    r"""Focal loss of the probability of the label.

    With the signed logit :math:`s = (2 y - 1) z` and :math:`p_t = \sigma(s)`

    .. math:: L(z, y) = -(1 - p_t)^\gamma \log p_t
              = e^{-\gamma\,\mathrm{softplus}(s)}\,\mathrm{softplus}(-s)

    The ``FocalLoss`` of MMSegmentation (the host) fails on binary heads on the CPU.
    With two channels it trains two sigmoids, but the host predicts with the softmax.

    Args:
        gamma (float): Focus on hard pixels, >= 0; 0 is BCE. Defaults to 2.0.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_focal'.
        **kwargs: ``reduction``, ``class_weight`` (the balance of the paper is ``[1 -
            alpha, alpha]``), ``loss_weight``, ``ignore_index``, ``avg_non_ignore``, see
            :class:`BinaryLoss`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> loss_decode = dict(type='BinaryFocalLoss', gamma=2.0)

    Source: `Focal Loss for Dense Object Detection <https://arxiv.org/abs/1708.02002>`_;
    for calibration `Calibrating Deep Neural Networks using Focal Loss
    <https://arxiv.org/abs/2002.09437>`_.
    """

    def __init__(self, gamma: float = 2.0, loss_name: str = 'loss_focal', **kwargs):
        super().__init__(loss_name=loss_name, **kwargs)
        self.gamma = check_number('gamma', gamma, at_least=0)

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Modulated cross entropy, see :meth:`BinaryLoss.pixel_loss`."""
        signed = signed_logits(binary_logits(scores), labels)
        return torch.exp(-self.gamma * F.softplus(signed)) * F.softplus(-signed)
