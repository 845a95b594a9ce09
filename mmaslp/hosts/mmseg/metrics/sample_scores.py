"""Reading probabilities and labels from the samples that a metric gets."""

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from ....core.argument_checks import check_choice
from ....core.levels.inputs import at_least_float32
from ....core.measure.inputs import SUM_TOLERANCE

SCORES = ('auto', 'logits', 'probabilities')


class ScoreReader:
    """Reads probabilities and labels from the data samples of one evaluation.

    MMSegmentation gives probabilities for heads with one channel and logits for heads
    with more. Mask2Former, MaskFormer and SAN give sums of products of probabilities,
    which are never negative. The logits of a single image may by chance be so too, so
    such scores are refused at the end only.
    """

    def __init__(self, scores: str = 'auto', ignore_index: int = 255) -> None:
        self.scores = check_choice('scores', scores, SCORES)
        self.ignore_index = ignore_index
        self.images = 0
        self.doubtful = 0

    def read(self, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Read one data sample."""
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                f'{sample.get("img_path")}: no gt_sem_seg, which the dataset has to '
                'give: add LoadAnnotations to the test pipeline'
            )
        prob = self.probability(sample)
        label = sample['gt_sem_seg']['data'].to(prob.device)
        return prob, label.reshape(label.shape[-2:])

    def probability(self, sample: dict[str, Any]) -> Tensor:
        """Read the probabilities of one data sample, which needs no label."""
        name = sample.get('img_path')
        if 'seg_logits' not in sample:
            raise ValueError(f'{name}: no seg_logits, which the model has to give')
        values = sample['seg_logits']['data'].detach()
        if not values.is_floating_point():
            raise ValueError(
                f'{name}: seg_logits are {values.dtype}, not floating point'
            )
        values = at_least_float32(values)
        self.images += 1
        if len(values) == 1:
            return values[0]
        scores = self._guess(values) if self.scores == 'auto' else self.scores
        if scores == 'probabilities':
            return values[1] if len(values) == 2 else values
        if len(values) == 2:
            return torch.sigmoid(values[1] - values[0])
        return values.softmax(0)

    def _guess(self, values: Tensor) -> str:
        """Tell logits from probabilities by their sign and sum."""
        if not values.numel() or not values.min() >= 0:
            return 'logits'
        if (values.sum(0) - 1).abs().max() <= SUM_TOLERANCE:
            return 'probabilities'
        self.doubtful += 1
        return 'logits'


def check_scores(images: int, doubtful: int, training: bool = False) -> None:
    """Refuse an evaluation if the scores of every image may be neither."""
    if not images or doubtful < images:
        return
    message = (
        'seg_logits have no negative value and do not add up to 1 in any image, so '
        'they may be neither logits nor probabilities (Mask2Former, MaskFormer and '
        'SAN give such scores, which have no calibration). If they are logits, set '
        "scores='logits'"
    )
    if not training:
        raise ValueError(message)
    print_log(message, logger='current', level=logging.WARNING)
