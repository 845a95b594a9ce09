"""The hook that updates the multipliers of CRaC after each validation."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmseg.registry import HOOKS

from ...losses import CRaCLoss
from ...models.losses.finding import unwrap

# A probability of float32 says no more of a logit beyond.
_EPS = torch.finfo(torch.float32).eps / 2


@HOOKS.register_module()
class CRaCHook(Hook):
    """Updates the multipliers of :class:`~mmaslp.losses.CRaCLoss` in a training.

    The authors' code makes a pass over the validation set after each epoch. This hook
    takes the logits of the validations that the training makes anyway
    (``val_interval=1`` is theirs). So they are those of the network's prediction, at
    the size of the labels, and all heads get the same multipliers. Of one channel the
    host gives probabilities; their logits end at about 16.6.

    The multipliers are in the checkpoint. A run resumed from a checkpoint that was
    written before the validation of its epoch lacks the update of this validation.

    Raises:
        ValueError: Before training, if the model has no ``CRaCLoss``, or the run has no
            validation.

    Example:
        >>> model = dict(decode_head=dict(loss_decode=dict(type='CRaCLoss')))
        >>> custom_hooks = [dict(type='CRaCHook')]
    """

    def __init__(self) -> None:
        self._losses: list[CRaCLoss] = []

    def before_train(self, runner: Any) -> None:
        """Find the losses."""
        modules = unwrap(runner.model).modules()
        self._losses = [each for each in modules if isinstance(each, CRaCLoss)]
        if not self._losses:
            raise ValueError(
                'CRaCHook found no CRaCLoss in the model: set '
                "loss_decode=dict(type='CRaCLoss') in its heads"
            )
        if runner.val_loop is None:
            raise ValueError(
                'CRaCHook needs validations: set val_cfg, val_dataloader and '
                'val_evaluator'
            )

    def after_train(self, runner: Any) -> None:
        """Leave the multipliers alone in validations after the training."""
        self._losses = []

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Show the logits of the batch to the losses."""
        for sample in outputs or ():
            scores = sample.seg_logits.data.float()
            if len(scores) == 1:
                scores = torch.logit(scores, _EPS)
            label = sample.gt_sem_seg.data.to(scores.device)
            for loss in self._losses:
                loss.observe(scores.unsqueeze(0), label)

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Update the multipliers."""
        for loss in self._losses:
            loss.update_multipliers()
        for loss in self._losses[:1]:
            print_log(
                'CRaC: multipliers (border, inside; background, foreground) '
                f'{loss.lam.tolist()}, weights of the squares {loss.rho.tolist()}',
                logger='current',
            )
