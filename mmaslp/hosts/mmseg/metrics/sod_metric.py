"""The metrics that the salient-object field reports."""

from typing import Any

from mmseg.registry import METRICS

from ....core.measure import CalibrationHistogram
from ....files.sod_measures import load_library, sod_metrics, sod_record
from .streaming_metric import StreamingMetric


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

    def __init__(self, **kwargs: Any) -> None:
        load_library()
        super().__init__(**kwargs)

    def image_record(
        self, sample: dict, prob: Any, label: Any, image: CalibrationHistogram
    ) -> dict:
        """See :func:`~mmaslp.files.sod_measures.sod_record`."""
        if prob.ndim != 2:
            raise ValueError('SODMetric is for heads with one or two channels')
        try:
            return sod_record(prob.cpu().numpy(), label.cpu().numpy())
        except ValueError as error:
            raise ValueError(f'{sample.get("img_path")}: {error}') from error

    def compute_metrics(self, results: list) -> dict:
        """Average the records of the images."""
        self.result = sod_metrics(results, self.histogram())
        return dict(self.result)
