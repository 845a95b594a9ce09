"""Margin-based label smoothing."""

import torch.nn.functional as F
from torch import Tensor

from ..core.aslp.functional import sc_bce
from ..core.aslp.tensors import binary_logits
from ..core.validation import check_number
from .binary import BinaryLoss


class MbLSLoss(BinaryLoss):
    r"""Margin-based Label Smoothing: cross entropy and a hinge on the logit gap.

    .. math:: L = \mathrm{CE} + \lambda\,\frac{1}{2}
              \sum_{k \in \{0, 1\}} \max(0, \max_j l_j - l_k - m)

    For two logits one gap is 0 and the other is :math:`|l_1 - l_0| = |z|`. So the loss
    is :math:`\mathrm{BCE}(z, y) + \frac{\lambda}{2} \max(0, |z| - m)`. The logits of a
    head with one channel are (0, z) up to a constant, and no gap depends on a constant.
    So both forms of the head have the same loss. The mean over the classes, and so the
    factor 1/2, comes from the authors' code.

    Args:
        margin (float): Largest gap m without a penalty, >= 0, in logits. Defaults to
            10.0, the authors' default; their medical segmentation uses 5.
        lam (float): Weight of the penalty (``alpha`` in the authors' code), >= 0.
            Defaults to 0.1.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_mbls'.
        **kwargs: ``reduction``, ``class_weight``, ``loss_weight``, ``ignore_index``,
            ``avg_non_ignore``, see :class:`BinaryLoss`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> loss_decode = dict(type='MbLSLoss', margin=10.0, lam=0.1)

    Source: `The Devil is in the Margin: Margin-based Label Smoothing for Network
    Calibration <https://arxiv.org/abs/2111.15430>`_ (CVPR 2022).
    """

    def __init__(
        self,
        margin: float = 10.0,
        lam: float = 0.1,
        loss_name: str = 'loss_mbls',
        **kwargs,
    ):
        super().__init__(loss_name=loss_name, **kwargs)
        self.margin = check_number('margin', margin, at_least=0)
        self.lam = check_number('lam', lam, at_least=0)

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Cross entropy and hinge, see :meth:`BinaryLoss.pixel_loss`."""
        logits = binary_logits(scores)
        hinge = F.relu(logits.abs() - self.margin)
        return sc_bce(logits, labels) + 0.5 * self.lam * hinge
