"""Comparing two models on the same images."""

from typing import Any

from ..core.measure.bootstrap import resample
from ..files.outputs import check_outputs
from ..files.results import load_result, save_result
from .matching import other_images, other_masks, sorted_images

__all__ = ['compare_results']


def compare_results(
    first: str,
    second: str,
    *,
    names: tuple[str | None, str | None] = (None, None),
    resamples: int = 2000,
    seed: int = 0,
    confidence_level: float = 0.95,
    json: str | None = None,
) -> tuple[dict[str, dict[str, Any]], int]:
    """Compare two result files by a paired bootstrap over their images.

    Args:
        first (str): File of ``CalibrationMetric`` or ``mmaslp eval-maps --json``.
        second (str): File of another model on the same images; may be the same file.
        names (tuple[str | None, str | None]): Which model to take of each file that
            holds several. Defaults to none: each file holds one result.
        resamples (int): Number of resamples, >= 1. Defaults to 2000.
        seed (int): Seed of the resamples. Defaults to 0.
        confidence_level (float): Of the intervals, in (0, 1). Defaults to 0.95.
        json (str, optional): File to write the metrics to. Defaults to None.

    Returns:
        tuple[dict, int]: From metric to ``first``, ``second``, ``difference`` (second -
        first), the interval ``low`` and ``high`` of the difference, and ``differs``,
        whether 0 lies outside of it; and the number of images.

    Raises:
        ValueError: A file is not a result file, their images, masks or settings differ,
            or ``json`` is one of them or a file of another kind.
        OSError: ``json`` cannot be written.
    """
    check_outputs({'--json': (json, 'comparison')}, [first, second])
    one, two = (load_result(*each)[0] for each in zip((first, second), names))
    tables = [sorted_images(each, path) for each, path in ((one, first), (two, second))]
    problem = other_images((one, tables[0]), (two, tables[1])) or other_masks(*tables)
    if problem:
        raise ValueError(f'{first} and {second}: {problem}')
    drawn = [resample(table, resamples, seed) for table in tables]
    metrics = drawn[0].differences(drawn[1], confidence_level)
    if json:
        save_result(json, {'format': 'mmaslp comparison', **metrics})
    return metrics, len(tables[0])
