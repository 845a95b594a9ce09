"""Fitting temperatures on folders of probability maps, and applying them to maps."""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.measure.border_temperature import Temperature, as_temperature, divisor
from ..files.map_folder import list_files, pair_files
from ..files.map_scale import MapReader
from ..files.masks import read_binary_mask
from ..files.names import shown
from ..files.outputs import check_folder, check_outputs
from ..files.prob_maps import MAP_SUFFIXES, write_prob_map
from ..files.progress import track
from ..files.temperature_file import load_temperature, write_temperature
from ..hosts.mmseg.temperature import fit_record, fit_summary, histograms_of

__all__ = [
    'find_temperature',
    'fit_maps',
    'map_logits',
    'recalibrate_map',
    'recalibrate_maps',
]

BITS = 16


def fit_maps(
    maps: str | Path,
    masks: str | Path,
    out: str | Path,
    regions: str | None = None,
    report: Callable[[str], None] = print,
    max_value: float | None = None,
) -> dict[str, Any]:
    """Fit a temperature to the maps of validation images and write it to a JSON file.

    Costs one pass over the maps, whatever model made them.

    Args:
        maps (str | Path): Folder of probability maps, see
            :func:`~mmaslp.files.prob_maps.read_prob_map`.
        masks (str | Path): Folder of masks of the same names, see
            :func:`~mmaslp.files.masks.read_binary_mask`.
        out (str | Path): The file; its folder is made if needed.
        regions (str, optional): 'border' to fit a temperature per band of distance
            from the predicted border beside the single one. Defaults to None.
        report (Callable[[str], None]): Receives what was fitted before it is written,
            so that a full disk costs no fit. Defaults to ``print``.
        max_value (float, optional): The stored value that stands for probability 1, see
            :func:`~mmaslp.files.map_folder.evaluate_maps`. Defaults to None.

    Returns:
        dict: What ``fit_record`` returns; and ``maps``,
        ``masks``, ``date``.

    Raises:
        ValueError: If a folder or a file does not serve, the maps allow no temperature,
            or ``out`` would replace a file of another kind.
        OSError: If ``out`` cannot be written.
    """
    histograms = histograms_of(regions)
    check_outputs({'--fit': (out, 'temperature')}, [maps, masks], make_folders=True)
    pairs, problems = pair_files(maps, masks)
    _refuse(problems)
    reader = MapReader(max_value)
    for map_path, mask_path in track(pairs.values(), 'fitting'):
        try:
            logit, mask = map_logits(map_path, reader), read_binary_mask(mask_path)
        except OSError as error:
            raise ValueError(
                f'{error.filename or map_path}: cannot be read ({error.strerror})'
            ) from error
        if logit.shape != mask.shape:
            raise ValueError(
                f'{map_path}: (H, W) is {tuple(logit.shape)}, but {mask.shape} in its '
                f'mask {mask_path}: resize the probabilities to the size of the mask'
            )
        histograms.update(logit, torch.from_numpy(mask))
    if problem := reader.problem():
        raise ValueError(problem)
    record = dict(
        fit_record(histograms, len(pairs)),
        maps=str(maps),
        masks=str(masks),
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
    )
    report(fit_summary(record))
    write_temperature(str(out), record)
    return record


def recalibrate_maps(
    maps: str | Path,
    out_dir: str | Path,
    temperature: Temperature,
    max_value: float | None = None,
) -> int:
    """Write maps of sigmoid(z / T) as 16-bit PNG, of the names of the maps of z.

    Args:
        maps (str | Path): Folder of probability maps.
        out_dir (str | Path): Folder to write to, made if needed; maps in it of the same
            names are replaced.
        temperature (float | BorderTemperatures): T.
        max_value (float, optional): See :func:`fit_maps`. Defaults to None.

    Returns:
        int: Number of maps.

    Raises:
        ValueError: If a folder or a file does not serve, both folders are the same, or
            an image that is no map of ours would be replaced. All maps are read once
            before the first is written.
    """
    maps, out_dir = Path(maps), Path(out_dir)
    check_folder(out_dir, [maps], '--out')
    problems: list[str] = []
    files = list_files(maps, MAP_SUFFIXES, 'map', problems)
    _refuse(problems)
    try:
        reader = MapReader(max_value)
        for path in files.values():
            reader.read_stored(path)
        if problem := reader.problem():
            raise ValueError(problem)
        out_dir.mkdir(parents=True, exist_ok=True)
        for stem, path in track(files.items(), 'writing'):
            prob = recalibrate_map(map_logits(path, reader), temperature)
            write_prob_map(out_dir / f'{stem}.png', prob, BITS)
    except OSError as error:
        raise ValueError(
            f'{error.filename or out_dir}: cannot be read or written '
            f'({error.strerror or error})'
        ) from error
    return len(files)


def recalibrate_map(logit: Tensor, temperature: Temperature) -> Tensor:
    """Probabilities of z / T that a 16-bit map keeps on their side of 0.5.

    Args:
        logit (Tensor): ``(H, W)`` float64, of the positive class.
        temperature (float | BorderTemperatures): T.

    Returns:
        Tensor: ``(H, W)`` float64: above 0.5 after rounding to a 16-bit map where
        z > 0, and below elsewhere.
    """
    prob = torch.sigmoid(logit / divisor(logit, temperature))
    top = 2**BITS - 1
    below, above = (top // 2) / top, (top // 2 + 1) / top  # the levels next to 0.5
    return torch.where(logit > 0, prob.clamp(min=above), prob.clamp(max=below))


def map_logits(path: str | Path, reader: MapReader | None = None) -> Tensor:
    r"""Read a probability map as logits.

    .. math::
        z = \log p - \log(1 - p)

    with p in [d / 2, 1 - d / 2] for the step d of the file: 1/255 or 1/65535 of an
    image, 1 / ``max_value`` of any integers; the step below 1 of npy, 2**-11, 2**-24 or
    2**-53 of 16, 32 or 64 bits. A map that says 0 or 1 means no more than that: its
    :math:`|z|` is taken as 6.2 or 11.8; 8.3, 17.3 or 37.4.

    Args:
        path (str | Path): See :func:`~mmaslp.files.prob_maps.read_prob_map`.
        reader (MapReader, optional): Reader of the set. Defaults to None: a new one.

    Returns:
        Tensor: ``(H, W)`` float64.

    Raises:
        ValueError: If it is no such file.
    """
    stored = (reader or MapReader()).read_stored(path)
    if np.issubdtype(stored.values.dtype, np.floating):
        step = float(np.finfo(stored.values.dtype).epsneg)
        values = np.asarray(stored.probability, np.float64)
    else:
        step = 1 / stored.top
        values = np.asarray(stored.values, np.float64) / stored.top
    low, high = step / 2, 1 - step / 2
    prob = torch.from_numpy(values)
    return prob.clamp(low, high).log() - (1 - prob).clamp(low, high).log()


def find_temperature(given: str, regions: bool = True) -> Temperature:
    """Return the temperature that the user names.

    Args:
        given (str): A number, or a file of ``mmaslp fit-temperature`` or
            ``mmaslp recalibrate``.
        regions (bool): Whether to take the temperatures by region where the file has
            them. Defaults to True.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the number is none above 0, or the file is no such file.
    """
    try:
        number = float(given)
    except ValueError:
        return load_temperature(given, regions)[0]
    return as_temperature(number)


def _refuse(problems: list[str]) -> None:
    """Raise the first of several problems with files, in one line."""
    if problems:
        more = f' (and {len(problems) - 1} more like it)' if problems[1:] else ''
        raise ValueError(shown(problems[0]) + more)
