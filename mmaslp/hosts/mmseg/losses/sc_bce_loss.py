"""Self-calibrating binary cross entropy."""

from collections.abc import Sequence

from torch import Tensor

from ....core.aslp import BatchDraw, DrawSlot, Perturbation, SelfCalibratingBCE
from ....core.aslp.eager import run_eagerly
from ....core.aslp.tensors import binary_logits
from .binary import BinaryLoss


class SCBCELoss(BinaryLoss):
    """Self-Calibrating Binary Cross Entropy for the heads of MMSegmentation.

    :class:`~mmaslp.core.SelfCalibratingBCE` with the arguments that the heads of the
    host pass. A table there shows which loss each argument gives.

    With :class:`ASLPHook` in ``custom_hooks``, the hook gives the levels. It draws once
    per image and iteration, for all heads together. **Without the hook every call of
    the loss draws for itself** with the fixed ``alpha``, from torch's global generator.

    Args:
        beta (str | float): See :class:`~mmaslp.core.SelfCalibratingBCE`. Defaults to
            'HI'.
        alpha (float): Fixed level in [0, 1] with ``alpha * beta < 1``; a hook that
            learns or has an ``alpha`` overrides it. Defaults to 0.
        deterministic (bool, optional): Train on the expected target instead of drawing:
            label smoothing with eps = alpha * beta. Defaults to None: draw, but take
            the expected target with levels by region, unless ``per_pixel`` is set.
        eps (float, optional): Label smoothing in [0, 1): short for
            ``deterministic=True, alpha=eps / beta``; under a hook see ``alpha``.
            Defaults to None.
        per_pixel (bool): Draw for every pixel instead of every image. Defaults to
            False.
        reduction (str): 'none', 'mean' or 'sum'. Defaults to 'mean'.
        class_weight (Sequence[float] | str, optional): Two weights, of background and
            of foreground pixels (by the unperturbed label), or a file that holds them;
            the mean divides by the number of pixels, see :class:`BinaryLoss`.
            Defaults to None.
        loss_weight (float): Factor of the loss, >= 0. Defaults to 1.0.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_sc_bce'.
        ignore_index (int): Label of pixels without a label, used if the head passes
            none. Defaults to 255.
        avg_non_ignore (bool): Average over the valid pixels only. False divides by all
            pixels, as the host's losses do by default. Defaults to True.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> # in a config; the head needs out_channels=1 or num_classes=2
        >>> loss_decode = dict(type='SCBCELoss', beta='HI', loss_weight=1.0)

    Source: `Model Calibration in Dense Classification with Adaptive Label Perturbation
    <https://arxiv.org/abs/2307.13539>`_.
    """

    def __init__(
        self,
        beta: str | float = 'HI',
        alpha: float = 0.0,
        deterministic: bool | None = None,
        eps: float | None = None,
        per_pixel: bool = False,
        reduction: str = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_sc_bce',
        ignore_index: int = 255,
        avg_non_ignore: bool = True,
    ) -> None:
        super().__init__(
            reduction=reduction,
            class_weight=class_weight,
            loss_weight=loss_weight,
            loss_name=loss_name,
            ignore_index=ignore_index,
            avg_non_ignore=avg_non_ignore,
        )
        self.criterion = SelfCalibratingBCE(
            beta, alpha, deterministic=deterministic, eps=eps, per_pixel=per_pixel
        )
        self._slot = DrawSlot()

    @property
    def perturbation(self) -> Perturbation:
        """Perturbation: What a perturbed label becomes."""
        return self.criterion.perturbation

    @property
    def alpha(self) -> float:
        """float: Level of every image without a hook."""
        return self.criterion.alpha

    @property
    def draw(self) -> BatchDraw | None:
        """BatchDraw | None: The hook's draw of this iteration."""
        return self._slot.draw

    def bind(self, slot: DrawSlot) -> None:
        """Take the draws from a slot that a hook fills; if it is empty, draw here."""
        self._slot = slot

    # See SelfCalibratingBCE.forward.
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
        """Compute the loss and leave the margins for the hook.

        Takes and returns what :meth:`BinaryLoss.forward` does.

        Raises:
            ValueError: As there, or if the hook's draw is for another batch.
        """
        reduction = self._resolve_reduction(reduction_override, avg_factor)
        labels, valid = self._split_labels(label, cls_score, ignore_index)
        logits = binary_logits(cls_score)
        per_image = weight is None and self.class_weight is None and reduction != 'none'
        draw = self.draw
        loss, margin = self.criterion.losses(logits, labels, valid, draw, per_image)
        if draw is not None:
            draw.record(margin, self.loss_weight)
        if not per_image:
            loss = self._weigh(loss, labels, weight, valid)
        return self.loss_weight * self._reduce(
            loss, reduction, avg_factor, valid, logits.numel()
        )
