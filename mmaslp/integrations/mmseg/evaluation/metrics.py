"""Registered metrics, from one histogram and one small record per image."""

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger, print_log
from mmengine.visualization import Visualizer
from mmseg.registry import METRICS
from torch import Tensor

from ....calibration.calibrator import Calibrator, loaded
from ....common.arguments import (
    check_bool,
    check_choice,
    check_integer,
    check_path,
    optional,
)
from ....common.arrays import (
    SUM_TOLERANCE,
    apply_protocol,
    at_least_float32,
    one_logit,
)
from ....common.inputs import naming
from ....common.options import PROTOCOLS, RESAMPLES
from ....evaluation.evaluator import Evaluator, MeasuredImages, evaluate_image
from ....evaluation.result import Result, save_result
from ....evaluation.sod import sod_metrics, sod_record
from ....files.images import write_picture
from ....metrics.band_table import BandTable
from ....metrics.bins import check_bins
from ....metrics.bootstrap import check_resamples
from ....metrics.histogram import MODES, CalibrationHistogram, PixelCounts
from ....report.diagrams import (
    band_figure,
    figure_array,
    reliability_figure,
)


def loop_stage() -> str:
    """Return 'val' or 'test'; 'test' outside of a run."""
    stage = MessageHub.get_current_instance().get_info('loop_stage')
    if stage in ('val', 'train'):
        return 'val'
    return 'test'


def is_training() -> bool:
    """Whether the present evaluation is one of many in a training run."""
    return (
        loop_stage() == 'val'
        and MessageHub.get_current_instance().get_info('max_iters') is not None
    )


def send_picture(name: str, picture: np.ndarray) -> None:
    """Hand a picture to the run's visualizer, if there is one, for all its backends.

    A backend that fails costs a warning, not the run.
    """
    # Without an instance, get_current_instance() keeps a lock for ever (mmengine 0.10).
    if not is_main_process() or not Visualizer._instance_dict:
        return
    try:
        Visualizer.get_current_instance().add_image(name, picture, _step())
    except Exception as error:  # each library has its own errors
        MMLogger.get_current_instance().warning(
            f'{name} was not sent to all trackers, the run goes on: '
            f'{type(error).__name__}: {error}'
        )


def _step() -> int:
    """Step of the scalars of the present evaluation; 0 of a test."""
    if not is_training():
        return 0
    hub = MessageHub.get_current_instance()
    unit = 'iter'
    if hub.get_info('max_epochs') > 1:
        unit = 'epoch'
    # MMEngine updates both before it trains, so they lag one behind in a validation.
    return hub.get_info(unit) + 1


class ScoreReader:
    """Reads probabilities and labels from the data samples of one evaluation.

    MMSegmentation gives probabilities for heads with one channel and logits for heads
    with more. Mask2Former, MaskFormer and SAN give sums of products of probabilities,
    which are never negative. The logits of a single image may by chance be so too, so
    such scores are refused at the end only. If it is ``binary``, it refuses heads with
    more than two classes.
    """

    def __init__(
        self, scores: str = 'auto', ignore_index: int = 255, binary: bool = False
    ) -> None:
        self.scores = check_choice(
            'scores', scores, ('auto', 'logits', 'probabilities')
        )
        self.ignore_index = ignore_index
        self.binary = binary
        self.images = 0
        self.doubtful = 0

    def read(self, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Read one data sample."""
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                f'{sample.get("img_path")}: no gt_sem_seg, which the dataset has to '
                'give: add LoadBinaryAnnotations to its pipeline'
            )
        prob = self.probability(sample)
        label = sample['gt_sem_seg']['data'].to(prob.device)
        if label.shape[-2:] != prob.shape[-2:]:
            raise ValueError(
                f'{sample.get("img_path")}: the mask is {tuple(label.shape[-2:])}, the '
                f'prediction {tuple(prob.shape[-2:])}: put LoadBinaryAnnotations after '
                'Resize in the pipelines; if it is there, image and mask differ in size'
            )
        return prob, label.reshape(label.shape[-2:])

    def probability(self, sample: dict[str, Any]) -> Tensor:
        """Read the probabilities of one data sample, which needs no label."""
        values = at_least_float32(sample['seg_logits']['data'].detach())
        self.images += 1
        if len(values) == 1:
            return values[0]
        if self.binary and len(values) > 2:
            raise ValueError(
                f'{sample.get("img_path")}: the head gives {len(values)} classes, and '
                'this is for binary heads: one channel (out_channels=1) or two'
            )

        scores = self.scores
        if scores == 'auto':
            scores = self._guess(values)
        if scores == 'probabilities':
            if len(values) == 2:
                return values[1]
            return values
        if len(values) == 2:
            return torch.sigmoid(one_logit(values, axis=0))
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


@dataclass(frozen=True)
class _Seen:
    """What one process has seen of an evaluation.

    Attributes:
        images (int): That were processed, also those that a sampler repeated.
        num_classes (int): Of the head; 0 without an image.
        doubtful (int): Images whose scores may be neither logits nor probabilities.
        ignored (bool): Whether a pixel was left out.
    """

    images: int
    num_classes: int
    doubtful: int
    ignored: bool


def _repeated_images(ranks: Sequence[_Seen], size: int) -> list[int]:
    """How many images of each process MMSegmentation will cut.

    MMEngine takes records from the ranks by turns, up to the size.
    """
    repeated = []
    for number, rank in enumerate(ranks):
        kept = len(range(number, size, len(ranks)))
        repeated.append(rank.images - kept)
    return repeated


class StreamingMetric(BaseMetric):
    """Count the pixels of each image in a histogram and keep a small record of it.

    Distributed: MMSegmentation interleaves the records of the ranks and cuts them to
    the size of the dataset, so images that the sampler repeated to fill the last batch
    go. The histograms of the last images are kept separately until then, to leave them
    out too. All sums are integers: any number of processes gives the same bits.

    Args:
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        protocol (str): 'raw', or 'released' to stretch each map before it is
            measured, see :func:`~mmaslp.common.arrays.apply_protocol`. Defaults
            to 'raw'.
        scores (str): What heads with two or more channels give: 'logits',
            'probabilities' or 'auto' (guess). Defaults to 'auto'.
        output_dir (str, optional): Folder for files; ``mmaslp test`` takes that of
            the test in its place. Defaults to None: the log folder of the run, if
            there is one.
        keep_results (bool): Accepted because MMSegmentation's ``test.py --out`` sets
            it; :attr:`result` is always kept. Defaults to False.
        calibrator (str | Calibrator, optional): File of ``mmaslp fit``, to measure
            calibrated probabilities; of two classes. Defaults to None.
        **kwargs: ``prefix``, ``collect_device`` and ``collect_dir`` of MMEngine.

    Attributes:
        result (dict | None): On the main process, the result of the last evaluation.

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
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.protocol = check_choice('protocol', protocol, PROTOCOLS)
        self.scores = scores
        self.output_dir = optional(check_path, 'output_dir', output_dir)
        self.calibrator = optional(loaded, 'calibrator', calibrator)
        self.result: Any = None
        self._reset()

    def _reset(self) -> None:
        self.histogram: Any = None  # of the images that count
        self._pending: deque[PixelCounts] = deque()
        self._reader = ScoreReader(
            self.scores, self.ignore_index, binary=self.calibrator is not None
        )
        self._ignored = False  # whether a pixel was left out

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take in the images of a batch; sizes may differ."""
        for sample in data_samples:
            prob, label = self._reader.read(sample)
            name = sample.get('img_path', len(self.results))
            with naming(name):
                pixels, record = self.measure(str(name), prob, label)
            self._ignored = self._ignored or pixels.scores.total < label.numel()
            if self.histogram is None:
                self.histogram = CalibrationHistogram(pixels.num_classes)
            self._pending.append(pixels)
            if len(self._pending) > self.PENDING:
                self.histogram.merge(self._pending.popleft())
            self.results.append(record)

    @abstractmethod
    def measure(
        self, name: str, prob: Tensor, label: Tensor
    ) -> tuple[PixelCounts, Any]:
        """Count one image, and make its record of plain values and small arrays.

        ``prob`` is ``(H, W)`` or ``(C, H, W)``, as the network gives it, and ``label``
        ``(H, W)``.
        """

    def measured_map(self, prob: Tensor, label: Tensor) -> Tensor:
        """Calibrate a map and stretch it, as far as the options say."""
        if self.calibrator is not None:
            prob = self.calibrator(prob)
        if prob.ndim == 2:
            return apply_protocol(prob, self.protocol, label != self.ignore_index)
        if self.protocol != 'raw':
            raise ValueError(
                f"protocol {self.protocol!r} is for two classes only: take 'raw'"
            )
        return prob

    def evaluate(self, size: int) -> dict:
        """Compute the metrics of a dataset of ``size`` images and reset."""
        try:
            self._drop_repeated(size)
            return super().evaluate(size)
        finally:
            self.results.clear()
            self._reset()

    def _drop_repeated(self, size: int) -> None:
        """Leave out the images that MMSegmentation will cut, and join the ranks."""
        classes_here = 0
        if self._pending:
            classes_here = self._pending[0].num_classes
        here = _Seen(
            images=len(self.results),
            num_classes=classes_here,
            doubtful=self._reader.doubtful,
            ignored=self._ignored,
        )
        ranks: list[_Seen] = all_gather_object(here)
        images = sum(rank.images for rank in ranks)
        doubtful = sum(rank.doubtful for rank in ranks)
        check_scores(images, doubtful, is_training())

        repeated = _repeated_images(ranks, size)
        if max(repeated) > self.PENDING:
            raise RuntimeError(
                f'{images} images were processed for a dataset of {size}; only '
                f'{self.PENDING} repeated images per process can be left out. Evaluate '
                'with a sampler that visits every image once (DefaultSampler)'
            )
        for _ in range(repeated[get_rank()]):
            self._pending.pop()

        num_classes = max(rank.num_classes for rank in ranks)
        self._join_histograms(max(num_classes, 2))
        if any(rank.ignored for rank in ranks):
            self._refuse_ignored_objects()

    def _join_histograms(self, num_classes: int) -> None:
        """Count the images of all ranks."""
        if self.histogram is None:
            self.histogram = CalibrationHistogram(num_classes)
        for pixels in self._pending:
            self.histogram.merge(pixels)
        all_reduce(self.histogram.counts)
        all_reduce(self.histogram.nll)

    def _refuse_ignored_objects(self) -> None:
        """Refuse masks of which all is ignored but the background."""
        if self.histogram.pixels().no_foreground:
            raise ValueError(
                'no pixel of the masks is foreground, and some are ignored '
                f'({self.ignore_index}), as the objects of 0/255 masks are if '
                'LoadAnnotations reads them: the accuracy would be 1 whatever the '
                'network does. Read the masks with LoadBinaryAnnotations'
            )


@METRICS.register_module()
class SODMetric(StreamingMetric):
    """MAE, F-, weighted F-, E- and S-measure by PySODMetrics, and AP and AUC.

    The measures are means over images; ``ap`` and ``auc`` are pooled over all pixels,
    from the histogram. If masks are empty (out-of-distribution sets), F, AP and AUC are
    undefined and nan. ``protocol='released'`` stretches each map first, for MAE too.

    Args:
        **kwargs: See :class:`StreamingMetric`.

    Raises:
        ImportError: PySODMetrics is missing; the message says what to install.
    """

    default_prefix = 'sod'

    def measure(
        self, name: str, prob: Tensor, label: Tensor
    ) -> tuple[PixelCounts, dict]:
        """See :func:`~mmaslp.evaluation.sod.sod_record`."""
        if prob.ndim != 2:
            raise ValueError(
                f'SODMetric is for heads with one or two channels, not {len(prob)}: '
                'leave it out'
            )
        prob = self.measured_map(prob, label)
        return (
            PixelCounts.of(prob, label, self.ignore_index),
            sod_record(prob.cpu().numpy(), label.cpu().numpy()),
        )

    def compute_metrics(self, results: list) -> dict:
        """Average the records of the images."""
        if self.calibrator is not None:
            print_log(
                f'{loop_stage()}: SODMetric measures calibrated maps '
                f'({self.calibrator.by} {self.calibrator.method}), and not those of '
                'the network',
                logger='current',
            )
        self.result = sod_metrics(results, self.histogram)
        return dict(self.result)


@METRICS.register_module()
class CalibrationMetric(StreamingMetric):
    """Every calibration metric of ``docs/metrics.md``, pooled over pixels.

    For heads with one or two channels (background and foreground) and, with
    ``mode='top_label'``, for more classes. Memory does not grow with the number of
    pixels: five histograms of 4 MB, and 2 to 5 KB per image.

    With ``mode='top_label'`` and two classes it also measures by band, see
    :class:`~mmaslp.metrics.BandTable`: ``ece_band``, ``ece_band_true``
    and, for each band k of distance from the predicted border (0 is at the border),
    its ``band{k}_share`` of the pixels and, unless it has none, ``band{k}_gap``,
    confidence - accuracy, and ``band{k}_acc``, its accuracy.

    Besides the returned metrics, files are written to ``output_dir`` or the run's log
    folder: ``calibration_{val,test}.json`` (every metric, the table of images for
    intervals and paired comparisons), ``reliability_{val,test}.png`` and
    ``bands_{val,test}.png``. The pictures also go to every visualizer backend, at the
    step of the scalars. Another prefix than 'calib' becomes part of the names.

    Args:
        bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' (confidence in the prediction) or 'positive'
            (probability of the foreground). Defaults to 'top_label'.
        draw (bool, optional): Draw the diagrams and bootstrap intervals (one to
            three seconds for a thousand images). Defaults to None: in tests and
            separate validations, but not in the validations of a training run.
        resamples (int): Bootstrap resamples where intervals are computed.
            Defaults to 1000.
        overwrite (bool): Replace files that are in ``output_dir`` before the first
            evaluation. Validations of a training run always do. Defaults to False.
        **kwargs: See :class:`StreamingMetric`.

    Attributes:
        result (Result | None): Of the last evaluation, on the main process, see
            :class:`~mmaslp.evaluation.result.Result`.
        table (BandTable | None): The bands of the last evaluation, on the main process;
            None without them.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric')]
        >>> # logs calib/ece, calib/oe, ..., calib/acc, calib/conf
    """

    default_prefix = 'calib'

    def __init__(
        self,
        bins: int = 10,
        mode: str = 'top_label',
        draw: bool | None = None,
        resamples: int = RESAMPLES,
        overwrite: bool = False,
        **kwargs: Any,
    ) -> None:
        self.bins = check_bins(bins)
        self.mode = check_choice('mode', mode, MODES)
        self.draw = optional(check_bool, 'draw', draw)
        self.resamples = check_resamples(resamples)
        self.overwrite = check_bool('overwrite', overwrite)
        # From names of images to the number of the group of each, of `mmaslp test`.
        self.groups: Callable[[Sequence[str]], Sequence[int]] | None = None
        self.table: BandTable | None = None
        super().__init__(**kwargs)

    def measure(
        self, name: str, prob: Tensor, label: Tensor
    ) -> tuple[PixelCounts, tuple]:
        """Count an image."""
        num_classes = len(prob)
        estimates = None
        if prob.ndim == 2:
            num_classes = 2
            if self.calibrator and self.calibrator.decisions:
                estimates = self.calibrator.scores(prob, label, self.ignore_index)

        prob = self.measured_map(prob, label)
        image = evaluate_image(
            name,
            prob,
            label,
            bins=self.bins,
            mode=self.mode,
            ignore_index=self.ignore_index,
            num_classes=num_classes,
            estimates=estimates,
        )
        return image.pixels, (image.row, image.bands)

    def compute_metrics(self, results: list) -> dict:
        """Compute the metrics of all images and write the files; undefined is nan."""
        rows = []
        totals = []
        for row, bands in results:
            rows.append(row)
            if bands is not None:
                totals.append(bands)
        self.table = None
        if totals:
            self.table = BandTable()
            self.table.totals = torch.from_numpy(np.sum(totals, axis=0))

        draws = self.draw
        if draws is None:  # after a test, and not after each epoch
            draws = not is_training()
        resamples = 0
        if draws:
            resamples = self.resamples
        evaluator = Evaluator.of_measured(
            MeasuredImages(self.histogram, rows), bins=self.bins, mode=self.mode
        )
        groups = None
        if self.groups is not None:
            groups = self.groups(evaluator.names)
        self.result = evaluator.result(
            'model',
            loop_stage(),
            resamples=resamples,
            groups=groups,
            settings=self._settings(),
        )
        if self.calibrator is None:
            self._warn_of_no_object(self.result)
        self._write(self.result, draws)
        # Of save_best='auto' MMEngine takes the first, if it knows its better side.
        return {'acc': self.result.metrics['acc']} | dict(self.result.metrics)

    def _settings(self) -> dict[str, Any]:
        """What the result says of how it was measured."""
        calibrator = None
        if self.calibrator:
            calibrator = f'{self.calibrator.by} {self.calibrator.method}'
        return {
            'protocol': self.protocol,
            'ignore_index': self.ignore_index,
            'calibrator': calibrator,
            'dataset': dict(self.dataset_meta or {}).get('dataset_name'),
        }

    def _warn_of_no_object(self, result: Result) -> None:
        """Say that there is no object in the masks, or in what the network finds."""
        if result.no_foreground:
            message = (
                f'{loop_stage()}_dataloader: no mask has a pixel of foreground, so '
                'accuracy and confidence are those of the background alone'
            )
        elif result.metrics.get('dice') == 0:
            message = f'{loop_stage()}: the network finds no object'
        else:
            return
        print_log(message, logger='current', level=logging.WARNING)

    def _write(self, result: Result, draw: bool) -> None:
        """Write the JSON file and the diagrams, and show the diagrams."""
        stage = loop_stage()
        if self.prefix != self.default_prefix:
            stage = f'{self.prefix.replace("/", "_")}_{stage}'
        folder = None
        log_file = MMLogger.get_current_instance().log_file
        if self.output_dir:
            folder = Path(self.output_dir)
        elif log_file:
            folder = Path(log_file).parent
        overwrite = self.overwrite or is_training() or not self.output_dir
        if folder is not None:
            save_result(
                folder / f'calibration_{stage}.json', result, overwrite=overwrite
            )

        self.overwrite = True  # the next evaluation replaces the files of this one
        if not draw:
            return
        diagrams = {'reliability': reliability_figure({self.prefix: result})}
        if result.bands:
            diagrams['bands'] = band_figure({self.prefix: result})
        for name, figure in diagrams.items():
            picture = figure_array(figure)
            if folder is not None:
                file = folder / f'{name}_{stage}.png'
                write_picture(file, picture, overwrite)
                print_log(f'{name} diagram: {file}', logger='current')
            send_picture(f'{name}_{stage}', picture)
