"""Test-time augmentation that averages probabilities."""

from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.registry import MODELS


@MODELS.register_module()
class BinarySegTTAModel(BaseTTAModel):
    """Mean of the probabilities of all views of an image.

    MMSegmentation's ``SegTTAModel`` applies the sigmoid a second time to one-channel
    heads, and leaves the scores of the last view in ``seg_logits``. Here they hold the
    merged result, so metrics read it like a single view: probabilities for one channel,
    logits (the log of the merged probabilities) for two or more.

    Example:
        >>> tta_model = dict(type='BinarySegTTAModel')
    """

    def merge_preds(self, data_samples_list: list[list]) -> list:
        """Merge the views of every image into the sample of its first view."""
        return list(map(self._merge, data_samples_list))

    def _merge(self, views: list) -> Any:
        scores = [view.seg_logits.data for view in views]
        one_channel = len(scores[0]) == 1
        probs = [score.float() for score in scores]
        if not one_channel:
            probs = [score.softmax(dim=0) for score in probs]
        prob = sum(probs) / len(probs)
        sample = views[0]
        if one_channel:
            pred = (prob > self.module.decode_head.threshold).to(scores[0])
            merged = prob
        else:
            pred = prob.argmax(dim=0, keepdim=True)
            merged = prob.clamp_min(torch.finfo(prob.dtype).tiny).log()

        sample.set_data(
            dict(seg_logits=PixelData(data=merged), pred_sem_seg=PixelData(data=pred))
        )

        return sample
