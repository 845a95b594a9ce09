"""Self-calibrating binary cross entropy."""

from collections.abc import Sequence

from torch import Tensor

from ....core.levels import Perturbation, SelfCalibratingBCE
from ....core.levels.eager import run_eagerly
from ....core.levels.inputs import binary_logits, pair_shapes, split_labels
from ....core.levels.label_watch import LabelWatch
from .binary import BinaryLoss
from .class_maps import class_maps


class SCBCELoss(BinaryLoss):
    """Self-Calibrating Binary Cross Entropy for the heads of MMSegmentation.

    :class:`~mmaslp.core.SelfCalibratingBCE` with the arguments that the heads of
    MMSegmentation pass. With :class:`ASLPHook` in ``custom_hooks``, the hook gives the
    levels, for all heads together. **Without the hook every call of the loss draws for
    itself** with the fixed ``alpha``, from torch's global generator.

    Args:
        beta (str | float): See :class:`~mmaslp.core.SelfCalibratingBCE`; without
            meaning under ``ASLPHook(levels='border')``. Defaults to 'HI'.
        alpha (float): Fixed level in [0, 1] with ``alpha * beta < 1``; a hook that
            learns or has an ``alpha`` overrides it. Defaults to 0.
        deterministic (bool): Train on the expected target instead of drawing: label
            smoothing with eps = alpha * beta. Defaults to False.
        eps (float, optional): Label smoothing in [0, 1): short for
            ``deterministic=True, alpha=eps / beta``; under a hook see ``alpha``.
            Defaults to None.
        per_pixel (bool): Draw for every pixel instead of every image. Defaults to
            False.
        channels (str, optional): ``'independent'`` for heads with C sigmoid channels:
            C binary maps, of labels ``(N, C, ...)``, or of classes 0 to C - 1,
            ``(N, ...)``. Defaults to None: one channel, or two for two classes.
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
        beta: str | float = 'HI',
        alpha: float = 0.0,
        deterministic: bool = False,
        eps: float | None = None,
        per_pixel: bool = False,
        channels: str | None = None,
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
            beta=beta,
            alpha=alpha,
            deterministic=deterministic,
            eps=eps,
            per_pixel=per_pixel,
            channels=channels,
        )

    @property
    def watch(self) -> LabelWatch:  # type: ignore[override]
        """LabelWatch: What has been seen of the labels."""
        return self.criterion.watch

    @property
    def perturbation(self) -> Perturbation:
        """Perturbation: What a perturbed label becomes."""
        return self.criterion.perturbation

    @property
    def alpha(self) -> float:
        """float: Level of every image without a hook."""
        return self.criterion.alpha

    @property
    def channels(self) -> str | None:
        """str, optional: ``'independent'`` for C binary maps."""
        return self.criterion.channels

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
            ValueError: As there, or if the hook's sample is for another batch.
        """
        reduction = self._resolve_reduction(reduction_override, avg_factor)
        if self.criterion.channels is None:
            labels, valid = self._split_labels(label, cls_score, ignore_index)
            logits = binary_logits(cls_score)
        else:
            logits, labels, valid = self._of_channels(label, cls_score, ignore_index)
            if weight is not None and weight.dim() == logits.dim() - 1:
                weight = weight.unsqueeze(1)
        per_image = weight is None and self.class_weight is None and reduction != 'none'
        sample = self.criterion.sample
        loss, margin = self.criterion.losses(logits, labels, valid, sample, per_image)
        if sample is not None and margin is not None:
            sample.record(margin, self.loss_weight)
        if not per_image:
            loss = self._weigh(loss, labels, weight, valid)
        return self.loss_weight * self._reduce(
            loss, reduction, avg_factor, valid, logits.numel()
        )

    def _of_channels(
        self, label: Tensor, cls_score: Tensor, ignore_index: int | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits, labels and mask of the valid pixels of C binary maps."""
        if ignore_index is None:
            ignore_index = self.ignore_index
        if label.dim() == cls_score.dim() - 1 and cls_score.size(1) > 1:
            label = class_maps(label.unsqueeze(1), cls_score.size(1), ignore_index)
        logits, label = pair_shapes(cls_score, label, independent=True)
        labels, valid = split_labels(label, ignore_index, self.watch)
        return logits, labels, valid
