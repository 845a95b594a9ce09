"""Hooks that read probabilities: of a test, or of windows in a validation."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    barrier,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmseg.registry import HOOKS

from ....calibration.calibrator import Calibrator, loaded
from ....common.arguments import (
    check_bool,
    check_choice,
    check_integer,
    check_path,
    optional,
)
from ....common.maps import mask_of
from ....common.outputs import check_outputs
from ....files.images import CALIBRATED
from ....files.names import short_names
from ....files.nnunet_maps import IGNORED
from ....files.prob_maps import BITS, write_prob_map
from ....files.reviews import Reviewed, write_review
from ....workflows.review import compare_review, most_doubtful_first, review_image
from ..calibration import maps_of_windows
from ..data import dataset_of, image_ids, inputs_of
from ..evaluation.metrics import ScoreReader, check_scores


class ScoresHook(Hook):
    """Reads the probability map of every test image.

    Args:
        scores (str): See ``ScoreReader``. Defaults to 'auto'.
        overwrite (bool): Replace files that are there. Defaults to False.

    Raises:
        ValueError: An argument has another value. In a test: a head has more than two
            classes, its scores were not probabilities in any image, or an output would
            replace what is read.
    """

    def __init__(self, scores: str = 'auto', overwrite: bool = False) -> None:
        self._reader = ScoreReader(scores, binary=True)
        self.overwrite = check_bool('overwrite', overwrite)

    @abstractmethod
    def outputs(self, images: Iterable[str]) -> dict[str, Any]:
        """Files that the test of images will write, by the argument."""

    @abstractmethod
    def take(self, path: str, prob: np.ndarray, sample: dict) -> None:
        """Take the map ``(H, W)`` of an image, and the rest of its data sample."""

    def before_test_epoch(self, runner: Any) -> None:
        """Begin anew; refuse outputs before any process writes the first."""
        self._reader = ScoreReader(self._reader.scores, binary=True)
        dataset = dataset_of(runner.test_loop)
        check_outputs(
            self.outputs(image_ids(dataset)),
            inputs_of(runner.cfg, [dataset]),
            self.overwrite,
        )
        barrier()

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
            self.take(path, self._reader.probability(sample).cpu().numpy(), sample)

    def after_test_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Refuse scores that were not probabilities in any image of any process."""
        images = 0
        doubtful = 0
        here = (self._reader.images, self._reader.doubtful)
        for images_there, doubtful_there in all_gather_object(here):
            images += images_there
            doubtful += doubtful_there
        check_scores(images, doubtful)


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
        super().__init__(scores, overwrite)
        self.out_dir = Path(check_path('out_dir', out_dir))
        self.bits = check_choice('bits', bits, BITS)
        self.calibrator = optional(loaded, 'calibrator', calibrator)

    def outputs(self, images: Iterable[str]) -> dict[str, Any]:
        """See :class:`ScoresHook`."""
        return {'out_dir': [self.out_dir / f'{Path(each).stem}.png' for each in images]}

    def take(self, path: str, prob: np.ndarray, sample: dict) -> None:
        """Write a map."""
        software = ''
        if self.calibrator is not None:
            prob = self.calibrator(prob)
            software = CALIBRATED
        # A sampler may give an image to two processes.
        write_prob_map(
            self.out_dir / f'{Path(path).stem}.png',
            prob,
            self.bits,
            overwrite=True,
            software=software,
        )


@HOOKS.register_module()
class ReviewHook(ScoresHook):
    """Write what to expect of the mask of every test image, most doubtful first.

    The file is that of ``mmaslp review``. Masks of the test set, if it gives them, are
    written beside what was expected.

    Args:
        out (str): The file, ``.csv``.
        calibrator (str | Calibrator): File of ``mmaslp fit``.
        scores (str): See ``ScoreReader``. Defaults to 'auto'.
        overwrite (bool): Replace a file that is there. Defaults to False.
        groups (Callable, optional): Numbers images by the group of each, such as a
            patient, from their names: groups are compared with those of the fit then.
            Defaults to None.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.

    Raises:
        ValueError: An argument is out of its range, the calibrator knows nothing of
            objects, or a head has more than two classes.
        FileExistsError: The file is there already, and ``overwrite`` is False.
    """

    def __init__(
        self,
        out: str,
        calibrator: str | Calibrator,
        scores: str = 'auto',
        overwrite: bool = False,
        groups: Callable[[Sequence[str]], Sequence[int]] | None = None,
        ignore_index: int = IGNORED,
    ) -> None:
        super().__init__(scores, overwrite)
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.groups = groups
        self.out = Path(check_path('out', out))
        self.calibrator = loaded('calibrator', calibrator)
        self.calibrator.need_decisions()
        inputs = []
        if not isinstance(calibrator, Calibrator):
            inputs.append(calibrator)
        check_outputs({'out': out}, inputs, overwrite)

    def outputs(self, images: Iterable[str]) -> dict[str, Any]:
        """See :class:`ScoresHook`."""
        paths = list(dict.fromkeys(images))
        names = short_names([str(Path(path).with_suffix('')) for path in paths])
        if len(set(names)) < len(names):
            names = paths
        self._names = dict(zip(paths, names))
        return {'out': self.out}

    def before_test_epoch(self, runner: Any) -> None:
        """Forget an earlier run."""
        super().before_test_epoch(runner)
        self._rows: dict[str, Reviewed] = {}

    def take(self, path: str, prob: np.ndarray, sample: dict) -> None:
        """Review an image."""
        truth = sample.get('gt_sem_seg')
        label = None
        if truth is not None:
            label = truth['data'][0].cpu().numpy()
            label = np.where(label == self.ignore_index, IGNORED, label)
        self._rows[path] = review_image(self.calibrator, self._names[path], prob, label)

    def after_test_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Write the images of all processes, each once."""
        super().after_test_epoch(runner)
        parts = all_gather_object(self._rows)

        if is_main_process():
            rows: dict[str, Reviewed] = {}
            for part in parts:
                rows |= part
            ordered = most_doubtful_first([rows[path] for path in sorted(rows)])
            groups = None
            if self.groups is not None:
                paths = sorted(rows)
                names = [rows[path].name for path in paths]
                groups = dict(zip(names, self.groups(paths)))
            comparison, ordered = compare_review(self.calibrator, ordered, groups)
            write_review(self.out, ordered, self.overwrite)
            if comparison is not None:
                level = logging.INFO
                if comparison.objects_withheld:
                    level = logging.WARNING
                print_log(str(comparison), 'current', level)
            print_log(f'review: {self.out}', 'current')


@HOOKS.register_module()
class WindowsHook(Hook):
    """Measure object-free windows of the validation images, the same in each epoch.

    It logs, after each validation, ``windows/empty_found``, the share of windows in
    which the network finds something, and ``windows/nll_windows``, their mean negative
    log-likelihood. A metric of MMEngine never sees the network, so this is a hook. It
    costs one more pass over the validation images.

    Raises:
        ValueError: A head has more than two classes.

    Example:
        >>> custom_hooks = [dict(type='WindowsHook')]
    """

    def before_val_epoch(self, runner: Any) -> None:
        """Begin with the same windows."""
        self._reader = ScoreReader('auto', binary=True)
        self._rng = np.random.default_rng(0)
        # Windows, those whose mask is not empty, pixels, their summed NLL.
        self._sums = torch.zeros(4, dtype=torch.float64)

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Run the network on a window of each image."""
        maps = maps_of_windows(runner.model, self._reader, data_batch, self._rng)
        for prob in map(torch.Tensor.double, maps):
            nll = torch.nn.functional.binary_cross_entropy(
                prob, torch.zeros_like(prob), reduction='sum'
            )
            self._sums += torch.tensor(
                [1, mask_of(prob).any().item(), prob.numel(), nll.item()]
            )

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Log both metrics of the windows of all processes."""
        all_reduce(self._sums)
        windows, not_empty, pixels, nll = self._sums.tolist()
        if windows:
            hub = runner.message_hub
            hub.update_scalar('val/windows/empty_found', not_empty / windows)
            hub.update_scalar('val/windows/nll_windows', nll / pixels)
