"""What hooks that read the probabilities of a test run have in common."""

import os.path as osp
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.hooks import Hook

from ..evaluation.metrics import ScoreReader, check_scores


class ScoresHook(Hook):
    """Reads the probability map of every test image.

    Args:
        scores (str): See ``ScoreReader``. Defaults to 'auto'.

    Raises:
        ValueError: ``scores`` has another value. In a test: a head has more than two
            classes, or its scores were not probabilities in any image.
    """

    def __init__(self, scores: str = 'auto') -> None:
        self._reader = ScoreReader(scores)

    @abstractmethod
    def begin(self, runner: Any) -> None:
        """Forget an earlier run."""

    @abstractmethod
    def take(self, path: str, stem: str, prob: np.ndarray, sample: dict) -> None:
        """Take the map ``(H, W)`` of an image, and the rest of its data sample."""

    def end(self) -> None:
        """Do what is left once all images were taken; by default there is nothing."""

    def before_test_epoch(self, runner: Any) -> None:
        """Begin anew."""
        self._reader = ScoreReader(self._reader.scores)
        self.begin(runner)

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Read the maps of a batch."""
        for output in outputs or []:
            path = output.img_path
            sample = output.to_dict()
            prob = self._reader.probability(sample)
            if prob.ndim != 2:
                raise ValueError(
                    f'{path}: {type(self).__name__} is for binary heads, not for maps '
                    f'of {len(prob)} classes'
                )
            stem = osp.splitext(osp.basename(path))[0]
            self.take(path, stem, prob.cpu().numpy(), sample)

    def after_test_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Refuse scores that were not probabilities in any image; end."""
        check_scores(self._reader.images, self._reader.doubtful)
        self.end()
