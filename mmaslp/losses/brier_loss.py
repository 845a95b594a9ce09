"""Brier score."""

import torch
from torch import Tensor

from ..core.aslp.tensors import binary_logits
from .binary import BinaryLoss


class BrierLoss(BinaryLoss):
    r"""Brier score of the foreground probability.

    .. math:: L(z, y) = (\sigma(z) - y)^2

    It is the ``brier`` of ``CalibrationMetric``. Brier's own sum over both classes is
    twice as large (``loss_weight=2``).

    Args:
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_brier'.
        **kwargs: ``reduction``, ``class_weight``, ``loss_weight``, ``ignore_index``,
            ``avg_non_ignore``, see :class:`BinaryLoss`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> loss_decode = dict(type='BrierLoss')

    Source: `Verification of Forecasts Expressed in Terms of Probability
    <https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2>`_.
    """

    def __init__(self, loss_name: str = 'loss_brier', **kwargs):
        super().__init__(loss_name=loss_name, **kwargs)

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Squared error of the probability, see :meth:`BinaryLoss.pixel_loss`."""
        return (torch.sigmoid(binary_logits(scores)) - labels).square()
