"""Neighbour-aware calibration loss."""

from torch import Tensor

from ..core.aslp.functional import sc_bce
from ..core.aslp.tensors import binary_logits
from ..core.validation import check_choice, check_integer, check_number
from .binary import BinaryLoss
from .window import check_maps, foreground_share


class NACLLoss(BinaryLoss):
    r"""Neighbour-Aware Calibration Loss: cross entropy and a pull on the logits.

    .. math:: L = \mathrm{CE} + \lambda\,\frac{1}{2}
              \sum_{k \in \{0, 1\}} |\tau_k - l_k|^q

    where :math:`\tau_k` is the proportion of class k among the labelled pixels of the
    window around the pixel and q is 1 or 2. For two channels, l are the head's own
    logits, as in the authors' code. One channel stands for the logits (c, z + c) with
    any c. The penalty is that of the best c:

    .. math:: \min_c \tfrac{1}{2}\big(|\tau_0 - c|^q + |\tau_1 - z - c|^q\big)
              = 2^{-q}\,|2 \tau_1 - 1 - z|^q

    At the border of the image and next to ignored pixels, the proportion counts the
    labelled pixels in the window. The authors' code counts what is outside of the image
    as background.

    Args:
        distance (str): ``'l1'`` or ``'l2'``. Defaults to 'l1'.
        lam (float): Weight of the penalty (``alpha`` in the authors' code), >= 0.
            Defaults to 0.1.
        kernel_size (int): Side of the window in pixels of the loss, odd. Defaults to 3.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_nacl'.
        **kwargs: ``reduction``, ``class_weight``, ``loss_weight``, ``ignore_index``,
            ``avg_non_ignore``, see :class:`BinaryLoss`.

    Raises:
        ValueError: If an argument is out of its range, or the scores are points, which
            have no neighbours.

    Example:
        >>> loss_decode = dict(type='NACLLoss', distance='l1', lam=0.1)

    Source: `Trust your neighbours: Penalty-based constraints for model calibration
    <https://arxiv.org/abs/2303.06268>`_ (MICCAI 2023).
    """

    def __init__(
        self,
        distance: str = 'l1',
        lam: float = 0.1,
        kernel_size: int = 3,
        loss_name: str = 'loss_nacl',
        **kwargs,
    ):
        super().__init__(loss_name=loss_name, **kwargs)
        self.distance = check_choice('distance', distance, ('l1', 'l2'))
        self.lam = check_number('lam', lam, at_least=0)
        self.kernel_size = check_integer('kernel_size', kernel_size, at_least=1)
        if self.kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size!r}')

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Cross entropy and pull, see :meth:`BinaryLoss.pixel_loss`."""
        check_maps(scores, 'NACLLoss')
        logits = binary_logits(scores)
        share = foreground_share(labels, valid, self.kernel_size)
        if scores.size(1) == 1:
            pull = self._penalty(0.5 * (2 * share - 1 - logits))
        else:
            pull = 0.5 * (
                self._penalty(1 - share - scores[:, 0])
                + self._penalty(share - scores[:, 1])
            )
        return sc_bce(logits, labels) + self.lam * pull

    def _penalty(self, difference: Tensor) -> Tensor:
        return difference.abs() if self.distance == 'l1' else difference.square()
