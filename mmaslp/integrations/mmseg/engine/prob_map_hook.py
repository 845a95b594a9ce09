"""Writes the probability maps of a test run."""

import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from ....calibration.calibrator import Calibrator
from ....common.arguments import check_choice, check_path
from ....files.prob_maps import BITS, write_prob_map
from ..evaluation.metrics import ScoreReader, check_scores


@HOOKS.register_module()
class ProbMapHook(Hook):
    """Write the foreground probability of every test image as a grey PNG.

    ``mmaslp eval-maps`` gives the same metrics from the maps, within half a step of
    the file.

    Args:
        out_dir (str): Folder for the maps, ``{stem of the image}.png``; made if needed.
        bits (int): 8 or 16. Defaults to 16.
        scores (str): See ``ScoreReader``. Defaults to 'auto'.
        calibrator (str, optional): File of ``mmaslp fit``, to write calibrated maps.
            Defaults to None.

    Raises:
        ValueError: If ``bits`` or ``scores`` has another value, two images have the
            same stem, or a head has more than two classes.
    """

    def __init__(
        self,
        out_dir: str,
        bits: int = 16,
        scores: str = 'auto',
        calibrator: str | Calibrator | None = None,
    ) -> None:
        self.out_dir = Path(check_path('out_dir', out_dir))
        self.bits = check_choice('bits', bits, BITS)
        self.scores = scores
        if calibrator is not None and not isinstance(calibrator, Calibrator):
            calibrator = Calibrator.load(calibrator)
        self.calibrator = calibrator
        ScoreReader(scores)  # refuses other values now

    def before_test_epoch(self, runner: Any) -> None:
        """Make the folder and forget the names of an earlier run."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        self._sources = {}
        self._reader = ScoreReader(self.scores)

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Write the maps of a batch."""
        for sample in outputs or []:
            path = sample.img_path
            stem = osp.splitext(osp.basename(path))[0]
            if self._sources.setdefault(stem, path) != path:
                raise ValueError(
                    f'{self._sources[stem]} and {path} would both be written as '
                    f'{stem}.png: test folders with equal names one at a time'
                )

            prob = self._reader.probability(sample.to_dict())
            if prob.ndim != 2:
                raise ValueError(
                    f'{path}: maps of {len(prob)} classes cannot be written as one '
                    'grey picture; probability maps are for binary heads'
                )
            prob = prob if self.calibrator is None else self.calibrator(prob)
            write_prob_map(self.out_dir / f'{stem}.png', prob.cpu(), self.bits)

    def after_test_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Refuse scores that were not probabilities in any image."""
        check_scores(self._reader.images, self._reader.doubtful)
