"""Calibration error and its relatives, from one streaming histogram."""

import logging
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from ....core.argument_checks import check_bool, check_choice, check_integer, optional
from ....core.measure import (
    MODES,
    BandTable,
    CalibrationHistogram,
    ImageTable,
    check_bins,
)
from ....core.measure.bootstrap import check_resamples
from ....files.checksum import mask_checksum
from ....files.results import calibration_result, save_result, scalar_metrics
from ....report.diagrams import band_figure, reliability_figure
from ....report.shown_images import ShownImages
from ....report.style import figure_array, save_figure
from ..checks.data import no_foreground
from ..checks.findings import report_findings
from ..trackers import is_training, loop_stage, send_picture
from .streaming_metric import StreamingMetric


@METRICS.register_module()
class CalibrationMetric(StreamingMetric):
    """Every calibration metric of ``docs/metrics.md``, pooled over pixels.

    For heads with one or two channels (background and foreground) and, with
    ``mode='top_label'``, for more classes. Memory does not grow with the number of
    pixels: five histograms of 4 MB, and 2 to 5 KB per image.

    With ``mode='top_label'`` and two classes it also measures by band, see
    :class:`~mmaslp.core.measure.BandTable`: ``ece_band``, ``ece_band_true``
    and, for each band k of distance from the predicted border (0 is at the border),
    its ``band{k}_share`` of the pixels and, unless it has none, ``band{k}_gap``,
    confidence - accuracy, and ``band{k}_acc``, its accuracy.

    Besides the returned metrics, files are written to ``output_dir`` or the run's log
    folder: ``calibration_{val,test}.json`` (every metric, the table of images for
    intervals and paired comparisons), ``reliability_{val,test}.png`` and ``.pdf``, and
    ``bands_{val,test}.png`` and ``.pdf``. The pictures also go to every visualizer
    backend, at the step of the scalars. Another prefix than 'calib' becomes part of the
    names.

    Args:
        bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' (confidence in the prediction) or 'positive'
            (probability of the foreground). Defaults to 'top_label'.
        draw (bool, optional): Draw the diagrams and bootstrap intervals (one to
            three seconds for a thousand images). Defaults to None: in tests and
            separate validations, but not in the validations of a training run.
        resamples (int): Bootstrap resamples where intervals are computed.
            Defaults to 1000.
        keep_worst (int): How many images to keep for a report, with their maps, in
            :attr:`shown`: so many of the most over-confident, of the most
            under-confident and of a random sample. Defaults to 0.
        **kwargs: See :class:`StreamingMetric`.

    Attributes:
        result (dict | None): Of the last evaluation, on the main process, see
            :func:`~mmaslp.files.results.calibration_result`.
        table (BandTable | None): The bands of the last evaluation, on the main process;
            None without them.
        shown (dict[str, list[dict]]): Of the last evaluation, see
            :class:`~mmaslp.report.shown_images.ShownImages`.

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
        resamples: int = 1000,
        keep_worst: int = 0,
        **kwargs: Any,
    ) -> None:
        check_bins(bins)
        self.bins = bins
        self.mode = check_choice('mode', mode, MODES)
        self.draw = optional(check_bool, 'draw', draw)
        self.resamples = check_resamples(resamples)
        self.keep_worst = check_integer('keep_worst', keep_worst, at_least=0)
        self.shown: dict[str, list] = {}
        self.table: BandTable | None = None
        super().__init__(**kwargs)

    def image_record(
        self, sample: dict, prob: Any, label: Any, image: CalibrationHistogram
    ) -> dict:
        """See :meth:`ImageTable.record`; also offers the image for the report."""
        name = str(sample.get('img_path', len(self.results)))
        bands = None
        if self.mode == 'top_label' and prob.ndim == 2:
            bands = BandTable()
            bands.update(prob, label, self.ignore_index)
        mask = mask_checksum(label)
        record = ImageTable.record(name, image, self.bins, self.mode, bands, mask)
        if bands is not None:
            record['band_totals'] = bands.totals.tolist()
        if self.keep_worst and prob.ndim == 2:
            metrics = ImageTable([dict(record)], self.bins).per_image()
            own = {key: float(value[0]) for key, value in metrics.items()}
            self._shown.push(name, len(self.results), own, prob, label)
        return record

    def drop_after(self, kept: int) -> None:
        """Forget repeated images among those of the report; join those of the ranks."""
        self._shown.drop_after(kept)
        joined = ShownImages(self.keep_worst)
        for items in all_gather_object(self._shown.items):
            joined.extend(items)
        self.shown = joined.items

    def compute_metrics(self, results: list) -> dict:
        """Compute the metrics of all images and write the files; undefined is nan."""
        if self.has_foreground is False and loop_stage() == 'val':
            remedy = 'masks with 1 (or 255, with LoadBinaryAnnotations)'
            report_findings([no_foreground('val_dataloader.dataset', remedy)])
        totals = [each.pop('band_totals', None) for each in results]
        self.table = None
        if totals and totals[0] is not None:
            self.table = BandTable()
            self.table.totals = torch.tensor(totals).sum(0)
        draw = not is_training() if self.draw is None else self.draw
        self.result = calibration_result(
            self.histogram(),
            ImageTable(results, self.bins),
            bins=self.bins,
            mode=self.mode,
            resamples=self.resamples if draw else 0,
            settings={
                'protocol': self.protocol,
                'ignore_index': self.ignore_index,
                'calibrator': self.calibrator_name,
                'dataset': dict(self.dataset_meta or {}).get('dataset_name'),
            },
        )
        self._write(draw)
        return scalar_metrics(self.result)

    def _reset(self) -> None:
        super()._reset()
        # Some of them may turn out to be repeated images.
        spare = self.PENDING if self.keep_worst else 0
        self._shown = ShownImages(self.keep_worst + spare)

    def _write(self, draw: bool) -> None:
        """Write the JSON file and the diagrams, and show the diagrams."""
        stage = loop_stage()
        if self.prefix != self.default_prefix:
            stage = f'{self.prefix.replace("/", "_")}_{stage}'
        folder = Path(self.output_dir) if self.output_dir else _log_dir()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            save_result(folder / f'calibration_{stage}.json', self.result)
        if not draw:
            return
        figures = {'reliability': reliability_figure({self.prefix: self.result})}
        if 'bands' in self.result:
            figures['bands'] = band_figure({self.prefix: self.result})
        for name, figure in figures.items():
            if folder is not None:
                for suffix in ('png', 'pdf'):
                    save_figure(figure, folder / f'{name}_{stage}.{suffix}')
                MMLogger.get_current_instance().info(
                    f'{name} diagram: {folder / f"{name}_{stage}.png"}'
                )
            send_picture(f'{name}_{stage}', figure_array(figure))


def _log_dir() -> Path | None:
    """Folder of the run's log file, None outside of a run."""
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            return Path(handler.baseFilename).parent
    return None
