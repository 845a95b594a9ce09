"""Writes the probability maps of a test run."""

import os.path as osp
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier
from mmseg.registry import HOOKS

from ....calibration.calibrator import Calibrator
from ....common.arguments import check_bool, check_choice, check_path, optional
from ....common.outputs import check_outputs
from ....files.prob_maps import BITS, write_prob_map
from ..checks.data import dataset_of
from ..datasets.listing import image_ids
from ..evaluation.metrics import loaded
from .scores_hook import ScoresHook


@HOOKS.register_module()
class ProbMapHook(ScoresHook):
    """Write the foreground probability of every test image as a grey PNG.

    ``mmaslp eval-maps`` gives the same metrics from the maps, within half a step of
    the file.

    Args:
        out_dir (str): Folder for the maps, ``{stem of the image}.png``; made if needed.
        bits (int): 8 or 16. Defaults to 16.
        scores (str): See ``ScoreReader``. Defaults to 'auto'.
        calibrator (str, optional): File of ``mmaslp fit``, to write calibrated maps.
            Defaults to None.
        overwrite (bool): Replace maps that are there. Defaults to False.

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
        overwrite: bool = False,
    ) -> None:
        super().__init__(scores)
        self.out_dir = Path(check_path('out_dir', out_dir))
        self.overwrite = check_bool('overwrite', overwrite)
        self.bits = check_choice('bits', bits, BITS)
        self.calibrator = optional(loaded, 'calibrator', calibrator)

    def begin(self, runner: Any) -> None:
        """Refuse to replace maps, before the first is written by any process."""
        images = image_ids(dataset_of(runner.test_loop))
        stems = {osp.splitext(osp.basename(image))[0] for image in images}
        files = [self.out_dir / f'{stem}.png' for stem in stems]
        check_outputs({'out_dir': files}, overwrite=self.overwrite)
        barrier()
        self._sources: dict[str, str] = {}

    def take(self, path: str, stem: str, prob: np.ndarray, sample: dict) -> None:
        """Write a map."""
        if self._sources.setdefault(stem, path) != path:
            raise ValueError(
                f'{self._sources[stem]} and {path} would both be written as '
                f'{stem}.png: test folders with equal names one at a time'
            )
        prob = prob if self.calibrator is None else self.calibrator(prob)
        # A sampler may give an image to two processes.
        write_prob_map(self.out_dir / f'{stem}.png', prob, self.bits, overwrite=True)
