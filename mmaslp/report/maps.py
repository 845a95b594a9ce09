"""Evaluating folders of probability maps, from any model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.argument_checks import check_integer, check_number, optional
from ..core.measure import check_bins
from ..core.measure.bootstrap import check_resamples
from ..files import outputs
from ..files.map_folder import evaluate_maps
from ..files.results import save_result
from .bands import band_figure
from .inputs import PICTURES, results_of_maps
from .page import json_beside, write_report
from .reliability import reliability_figure
from .style import FORMATS, save_figure

__all__ = ['check_outputs', 'evaluate_folders', 'write_outputs']


def evaluate_folders(
    folders: Sequence[str],
    gt_dir: str,
    *,
    bins: int = 10,
    protocol: str = 'raw',
    sod: bool = False,
    resamples: int = 1000,
    max_value: float | None = None,
) -> list[dict[str, Any]]:
    """Measure several folders of maps against one folder of masks.

    Args:
        folders (Sequence[str]): Folders of maps, one for each model.
        gt_dir (str): Folder of masks.
        bins (int): Number of bins. Defaults to 10.
        protocol (str): 'raw' or 'released'. Defaults to 'raw'.
        sod (bool): Also compute the salient-object measures. Defaults to False.
        resamples (int): Bootstrap resamples, >= 0. Defaults to 1000.
        max_value (float, optional): The stored value that stands for probability 1, see
            :func:`~mmaslp.files.map_folder.evaluate_maps`. Defaults to None.

    Returns:
        list[dict]: The result of each, see
        :func:`~mmaslp.files.map_folder.evaluate_maps`. The ``model`` is the last part
        of its folder, or the path if last parts are the same.

    Raises:
        ValueError: An argument is out of its range, a folder is named twice, or a file
            is not usable; the message lists all problems of a folder.
        ImportError: ``sod`` without PySODMetrics.
    """
    check_bins(bins)
    check_resamples(resamples)
    optional(check_number, 'max_value', max_value, above=0)
    return [
        evaluate_maps(
            folder,
            gt_dir,
            bins=bins,
            protocol=protocol,
            sod=sod,
            resamples=resamples,
            max_value=max_value,
            model=name,
        )
        for name, folder in _names(folders).items()
    ]


def check_outputs(
    json: str | None = None,
    plot: str | None = None,
    report: str | None = None,
    images: str | None = None,
    inputs: Sequence[str] = (),
    pictures: int = PICTURES,
) -> None:
    """Refuse, before the work starts, outputs that cannot or must not be written.

    Args:
        json (str, optional): See :func:`write_outputs`.
        plot (str, optional): See there.
        report (str, optional): See there.
        images (str, optional): See there.
        inputs (Sequence[str]): The folders of maps and of masks. Defaults to none.
        pictures (int): See :func:`write_outputs`. Defaults to 6.

    Raises:
        ValueError: A folder does not exist, the plot is of an unknown format, the
            number of pictures is negative, or a file would be lost, see
            :func:`~mmaslp.files.outputs.check_outputs`.
    """
    if plot and not plot.lower().endswith(FORMATS):
        raise ValueError(f'--plot {plot}: write one of {", ".join(FORMATS)}')
    check_integer('pictures', pictures, at_least=0, hint=' (--worst)')
    if images and not Path(images).is_dir():
        raise ValueError(f'--images {images}: no such folder')
    outputs.check_outputs(
        {
            '--json': (json, 'result'),
            '--plot': (plot, 'diagram'),
            '--plot (bands)': (plot and _beside(plot), 'diagram'),
            '--report': (report, 'report'),
            '--report (JSON)': (report and json_beside(report), 'result'),
        },
        [*inputs, images],
    )


def write_outputs(
    results: Sequence[dict[str, Any]],
    *,
    json: str | None = None,
    plot: str | None = None,
    report: str | None = None,
    images: str | None = None,
    pictures: int = PICTURES,
    paths: bool = False,
) -> None:
    """Write the results.

    Args:
        results (Sequence[dict]): What :func:`evaluate_folders` returned.
        json (str, optional): File of all metrics: the result of the only folder, else
            a list. Defaults to None.
        plot (str, optional): File of the reliability diagrams; the diagrams of bands
            go to a file beside it, whose name ends in ``_bands``. Defaults to None.
        report (str, optional): File of an HTML report; the JSON file of its results is
            written beside it, see :mod:`mmaslp.report.page`. Defaults to None.
        images (str, optional): Folder of the photographs, for the report. Defaults to
            None.
        pictures (int): How many images the report shows per reason. Defaults to 6.
        paths (bool): Let the report keep absolute paths. Defaults to False.
    """
    if json:
        save_result(json, results if len(results) > 1 else results[0])
    if plot:
        named = {result['model']: result for result in results}
        save_figure(reliability_figure(named), plot)
        save_figure(band_figure(named), _beside(plot))
    if report:
        shown = results_of_maps(
            results, images=images, result_file=json, pictures=pictures
        )
        write_report(report, shown, pictures=pictures, paths=paths)


def _beside(plot: str) -> Path:
    path = Path(plot)
    return path.with_name(f'{path.stem}_bands{path.suffix}')


def _names(folders: Sequence[str]) -> dict[str, str]:
    """Name each folder by its last part, or by its path if last parts are the same."""
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise ValueError('the same folder of maps is named twice')
    return dict(zip(names, folders))
