"""Scores of divided logits, where the host turns logits into probabilities."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.structures import PixelData
from torch import Tensor

from ...core.measure.border_temperature import Temperature, divisor
from .segmentor import check_binary, two_channels

__all__ = ['divided_scores']


def divided_scores(
    postprocess: Callable, temperature: Temperature, plain_key: str | None = None
) -> Callable:
    """Let a segmentor give the scores of z / T beside the predictions of z.

    Args:
        postprocess (Callable): ``postprocess_result`` of a binary segmentor.
        temperature (float | BorderTemperatures): T.
        plain_key (str, optional): Under which key a sample keeps its undivided scores.
            Defaults to None: it does not.

    Returns:
        Callable: What stands in for ``postprocess_result``. It raises a ValueError if
        the head has more than two channels.
    """

    def divided(seg_logits: Any, data_samples: Any = None) -> list:
        check_binary(seg_logits)
        # The samples are filled in place, so keep what they hold now.
        kept = [
            (sample.pred_sem_seg, sample.seg_logits)
            for sample in postprocess(seg_logits, data_samples)
        ]
        samples = postprocess(two_channels(seg_logits), data_samples)
        for sample, (prediction, plain) in zip(samples, kept):
            logits = sample.seg_logits.data
            scores = logits / divisor(logits[1] - logits[0], temperature)
            if len(plain.data) == 1:
                scores = _on_the_side_of(plain.data, scores[1:].sigmoid())
            sample.set_data(
                dict(pred_sem_seg=prediction, seg_logits=PixelData(data=scores))
                | ({plain_key: plain} if plain_key else {})
            )
        return samples

    return divided


def _on_the_side_of(plain: Tensor, prob: Tensor) -> Tensor:
    """Keep probabilities on the same side of 0.5 as the undivided ones.

    Next to 0.5, rounding would move some to the other side, mostly in half precision.
    """
    above = torch.nextafter(prob.new_tensor(0.5), prob.new_tensor(1.0))
    return torch.where(plain > 0.5, prob.clamp(min=above), prob.clamp(max=0.5))
