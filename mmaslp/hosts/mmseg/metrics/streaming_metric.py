"""The common part of the metrics: one histogram, one small record per image."""

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any

from mmengine.dist import all_gather_object, all_reduce, get_rank
from mmengine.evaluator import BaseMetric

from ....core.argument_checks import (
    check_bool,
    check_choice,
    check_integer,
    check_path,
    optional,
)
from ....core.calibrators import Calibrator
from ....core.measure import CalibrationHistogram
from ....core.measure.protocol import PROTOCOLS, apply_protocol
from ..trackers import is_training
from .sample_scores import SCORES, ScoreReader, check_scores


class StreamingMetric(BaseMetric):
    """Count the pixels of each image in a histogram and keep a small record of it.

    Distributed: MMSegmentation interleaves the records of the ranks and cuts them to
    the size of the dataset, so images that the sampler repeated to fill the last batch
    go. The histograms of the last images are kept separately until then, to leave them
    out too. All sums are integers: any number of processes gives the same bits.

    Args:
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        protocol (str): 'raw', or 'released' to stretch each map before it is
            measured, see :func:`~mmaslp.core.measure.protocol.apply_protocol`. Defaults
            to 'raw'.
        scores (str): What heads with two or more channels give: 'logits',
            'probabilities' or 'auto' (guess). Defaults to 'auto'.
        output_dir (str, optional): Folder for files. Defaults to None: the log
            folder of the run, if there is one.
        keep_results (bool): Accepted because MMSegmentation's ``test.py --out`` sets
            it; :attr:`result` is always kept. Defaults to False.
        calibrator (str | Calibrator, optional): File of ``mmaslp fit``, to measure
            calibrated probabilities; of two classes. Defaults to None.
        **kwargs: ``prefix``, ``collect_device`` and ``collect_dir`` of MMEngine.

    Attributes:
        result (dict | None): On the main process, the result of the last evaluation.
        has_foreground (bool | None): Whether a mask of the last evaluation had a pixel
            of foreground; None without pixels and with more than two classes.

    Raises:
        ValueError: An argument is out of its range. In an evaluation: an image cannot
            be measured, the scores were neither logits nor probabilities in any image,
            or every pixel that is not ignored is background.
        RuntimeError: A rank saw more repeated images than it can leave out.
    """

    # Images per rank that a sampler may have repeated at the end; the usual one: 1.
    PENDING = 4

    def __init__(
        self,
        ignore_index: int = 255,
        protocol: str = 'raw',
        scores: str = 'auto',
        output_dir: str | None = None,
        keep_results: bool = False,
        calibrator: str | Calibrator | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice('protocol', protocol, PROTOCOLS)
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.protocol = protocol
        self.scores = check_choice('scores', scores, SCORES)
        self.output_dir = optional(check_path, 'output_dir', output_dir)
        self.keep_results = check_bool('keep_results', keep_results)
        self.calibrator_name: str | None = None
        if calibrator is not None and not isinstance(calibrator, Calibrator):
            self.calibrator_name = str(calibrator)
            calibrator = Calibrator.load(calibrator)
        self.calibrator = calibrator
        self.result: dict | None = None
        self.has_foreground: bool | None = None
        self._reset()

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take in the images of a batch; sizes may differ."""
        for sample in data_samples:
            prob, label = self._reader.read(sample)
            if self.calibrator is not None:
                prob = self.calibrator(prob)
            image = CalibrationHistogram(2 if prob.ndim == 2 else len(prob))
            if prob.ndim == 2:
                same = prob.shape == label.shape  # else refused below
                valid = label != self.ignore_index if same else None
                prob = apply_protocol(prob, self.protocol, valid)
            elif self.protocol != 'raw':
                raise ValueError(f'protocol {self.protocol!r} is for two classes only')
            try:
                image.update(prob, label, self.ignore_index)
            except ValueError as error:
                raise ValueError(f'{sample.get("img_path")}: {error}') from error
            self._ignored = self._ignored or image.count < label.numel()
            self._pending.append(image)
            if len(self._pending) > self.PENDING:
                self._merge(self._pending.popleft())
            self.results.append(self.image_record(sample, prob, label, image))

    @abstractmethod
    def image_record(
        self, sample: dict, prob: Any, label: Any, image: CalibrationHistogram
    ) -> dict:
        """Make the record of one image, of plain values and small arrays.

        ``prob`` is ``(H, W)`` or ``(C, H, W)``, ``label`` ``(H, W)``, and ``image`` the
        histogram of this image alone.
        """

    def evaluate(self, size: int) -> dict:
        """Compute the metrics of a dataset of ``size`` images and reset."""
        try:
            self._drop_repeated(size)
            return super().evaluate(size)
        finally:
            self.results.clear()
            self._reset()

    def drop_after(self, kept: int) -> None:
        """Forget what a subclass keeps of this rank's images from ``kept`` on."""

    def histogram(self) -> CalibrationHistogram:
        """Return the histogram of all images that count, on the CPU."""
        while self._pending:
            self._merge(self._pending.popleft())
        return self._merged or CalibrationHistogram()

    def _reset(self) -> None:
        self._merged: CalibrationHistogram | None = None
        self._pending: deque = deque()
        self._reader = ScoreReader(self.scores, self.ignore_index)
        self._ignored = False  # whether a pixel was left out

    def _merge(self, image: CalibrationHistogram) -> None:
        if self._merged is None:
            self._merged = CalibrationHistogram(image.num_classes)
        self._merged.merge(image)

    def _drop_repeated(self, size: int) -> None:
        """Leave out the images that MMSegmentation will cut, and join the ranks."""
        own_classes = self._pending[0].num_classes if self._pending else 0
        ranks = all_gather_object(
            (len(self.results), own_classes, self._reader.doubtful, self._ignored)
        )
        lengths, classes, doubtful, ignored = zip(*ranks)
        check_scores(sum(lengths), sum(doubtful), is_training())
        kept = kept_per_rank(lengths, size)
        if any(n - k > self.PENDING for n, k in zip(lengths, kept)):
            raise RuntimeError(
                f'{sum(lengths)} images were processed for a dataset of {size}; only '
                f'{self.PENDING} repeated images per process can be left out. Evaluate '
                'with a sampler that visits every image once (DefaultSampler)'
            )
        for _ in range(lengths[get_rank()] - kept[get_rank()]):
            self._pending.pop()
        self.drop_after(kept[get_rank()])
        merged = CalibrationHistogram(max(2, *classes))
        if self.results:
            merged.merge(self.histogram())
        all_reduce(merged.counts)
        all_reduce(merged.nll)
        self._merged = merged
        self.has_foreground = None
        if merged.num_classes == 2 and merged.count:
            positive = merged.score_table('positive').correct
            self.has_foreground = bool(positive.sum() > 0)
        if self.has_foreground is False and any(ignored):
            raise ValueError(
                'no pixel of the masks is foreground, and some are ignored '
                f'({self.ignore_index}), as the objects of 0/255 masks are if '
                'LoadAnnotations reads them: the accuracy would be 1 whatever the '
                'network does. Read the masks with LoadBinaryAnnotations'
            )


def kept_per_rank(lengths: Sequence[int], size: int) -> list:
    """How many records of each rank are left after interleaving and cutting."""
    order = sorted((i, rank) for rank, n in enumerate(lengths) for i in range(n))
    kept = [rank for _, rank in order[:size]]
    return [kept.count(rank) for rank in range(len(lengths))]
