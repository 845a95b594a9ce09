"""Says which masks of a test run to trust."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import print_log
from mmseg.registry import HOOKS

from ....calibration.calibrator import Calibrator
from ....common.arguments import check_bool, check_number, check_path
from ....common.outputs import check_output
from ....files.review import (
    Reviewed,
    compare_review,
    most_doubtful_first,
    review_image,
    write_review,
)
from ..evaluation.metrics import loaded
from .scores_hook import ScoresHook


@HOOKS.register_module()
class ReviewHook(ScoresHook):
    """Write what to expect of the mask of every test image, most doubtful first.

    The file is that of ``mmaslp review``. Masks of the test set, if it gives them, are
    written beside what was expected.

    Args:
        out (str): The file, ``.csv``.
        calibrator (str | Calibrator): File of ``mmaslp fit``.
        level (float): Share of images that a bound holds for, in (0, 1). Defaults to
            0.9.
        scores (str): See ``ScoreReader``. Defaults to 'auto'.
        overwrite (bool): Replace a file that is there. Defaults to False.

    Raises:
        ValueError: An argument is out of its range, the calibrator knows nothing of
            objects, or a head has more than two classes.
        FileExistsError: The file is there already, and ``overwrite`` is False.
    """

    def __init__(
        self,
        out: str,
        calibrator: str | Calibrator,
        level: float = 0.9,
        scores: str = 'auto',
        overwrite: bool = False,
    ) -> None:
        super().__init__(scores)
        self.out = Path(check_path('out', out))
        self.overwrite = check_bool('overwrite', overwrite)
        check_output(self.out, overwrite)
        self.calibrator = loaded('calibrator', calibrator)
        self.calibrator.need_decisions()
        self.level = check_number('level', level, above=0, below=1)

    def begin(self, runner: Any) -> None:
        """Forget an earlier run."""
        self._rows: dict[str, Reviewed] = {}

    def take(self, path: str, stem: str, prob: np.ndarray, sample: dict) -> None:
        """Review an image."""
        label = None
        if 'gt_sem_seg' in sample:
            label = sample['gt_sem_seg']['data'].cpu().numpy()
        self._rows[path] = review_image(
            self.calibrator, stem, prob, label, level=self.level
        )

    def end(self) -> None:
        """Write the images of all processes, each once."""
        rows: dict[str, Reviewed] = {}
        for of_process in all_gather_object(self._rows):
            rows |= of_process
        if is_main_process():
            ordered = most_doubtful_first([rows[path] for path in sorted(rows)])
            comparison, ordered = compare_review(self.calibrator, ordered)
            write_review(self.out, ordered, self.overwrite)
            if comparison is not None:
                print_log(str(comparison), 'current')
            print_log(f'review: {self.out}', 'current')
