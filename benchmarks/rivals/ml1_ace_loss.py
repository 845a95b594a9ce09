"""Cross entropy and marginal L1 average calibration error."""

import torch
from torch import Tensor

from mmaslp.core.argument_checks import check_integer, check_number
from mmaslp.core.levels.functional import sc_bce
from mmaslp.core.levels.inputs import binary_logits
from mmaslp.hosts.mmseg.losses.binary import BinaryLoss


class ML1ACELoss(BinaryLoss):
    r"""Cross entropy and hard-binned marginal L1 Average Calibration Error (mL1-ACE).

    .. math:: L = w_{ce}\,\mathrm{BCE} + w_{ace}\,\frac{1}{N} \sum_i \frac{1}{2}
              \sum_{k \in \{0, 1\}} [k \in y_i]\, \frac{1}{|B_{ik}|}
              \sum_{b \in B_{ik}} |\bar p_b - \bar y_b|

    For image i and class k, the pixels are sorted by the probability of the class into
    equal bins (lo, hi]. :math:`B_{ik}` are the bins that hold pixels; :math:`\bar p_b`
    and :math:`\bar y_b` are the mean probability and the frequency of the class there.
    A class that the image does not show counts 0, as in the authors' later code
    (``cai4cai/Average-Calibration-Losses``, ``ignore_empty_classes=True``). Their code
    of MICCAI 2024 (``cai4cai/ACE-DLIRIS``) takes the mean over filled bins for such a
    class. The gradient treats the bins as fixed. Both forms of the head have the same
    loss.

    The error is one number per image, and each valid pixel of the image carries it. So
    ``weight``, ``class_weight``, ``avg_factor`` and the reduction act on it as on the
    cross entropy. The mean over images weights an image by its valid pixels.

    Args:
        num_bins (int): Bins on [0, 1], 1 to 4096. Defaults to 20.
        ce_weight (float): Weight of the cross entropy, >= 0. Defaults to 0.5.
        ace_weight (float): Weight of the calibration error, >= 0. Defaults to 0.5.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_ml1_ace'.
        **kwargs: ``reduction``, ``class_weight``, ``loss_weight``, ``ignore_index``,
            ``avg_non_ignore``, see :class:`BinaryLoss`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> loss_decode = dict(type='ML1ACELoss', num_bins=20)

    Source: `Average Calibration Error: A Differentiable Loss for Improved Reliability
    in Image Segmentation <https://arxiv.org/abs/2403.06759>`_ (MICCAI 2024); defaults
    of the authors' loss of cross entropy and hard-binned error.
    """

    def __init__(
        self,
        num_bins: int = 20,
        ce_weight: float = 0.5,
        ace_weight: float = 0.5,
        loss_name: str = 'loss_ml1_ace',
        **kwargs,
    ):
        super().__init__(loss_name=loss_name, **kwargs)
        self.num_bins = check_integer('num_bins', num_bins, at_least=1, at_most=4096)
        self.ce_weight = check_number('ce_weight', ce_weight, at_least=0)
        self.ace_weight = check_number('ace_weight', ace_weight, at_least=0)

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Cross entropy and error of the image, see :meth:`BinaryLoss.pixel_loss`."""
        logits = binary_logits(scores)
        error = self._image_error(logits, labels, valid)
        error = error.view(-1, *[1] * (logits.dim() - 1))
        return self.ce_weight * sc_bce(logits, labels) + self.ace_weight * error

    def _image_error(
        self, logits: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Mean over both classes of the mean gap of the bins with pixels, (N,)."""
        logits, labels = logits.flatten(1), labels.flatten(1)
        prob = torch.sigmoid(torch.stack([-logits, logits], 1))
        target = torch.stack([1 - labels, labels], 1)
        used = torch.ones_like(target)
        if valid is not None:
            used = used * valid.flatten(1).unsqueeze(1)
        edges = torch.linspace(
            0, 1, self.num_bins + 1, dtype=prob.dtype, device=prob.device
        )
        index = torch.bucketize(prob.detach(), edges[1:-1])
        # Sums of float32 lose their last pixels in large images.
        empty = prob.new_zeros(*prob.shape[:2], self.num_bins, dtype=torch.float64)
        count = empty.scatter_add(2, index, used.double())
        gap = empty.scatter_add(2, index, ((prob - target) * used).double()).abs()
        error = (gap / count.clamp_min(1)).sum(2) / (count > 0).sum(2).clamp_min(1)
        shown = (target * used).sum(2) > 0
        return (error * shown).mean(1).to(prob.dtype)
