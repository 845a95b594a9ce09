"""The JSON file that holds the temperature of a checkpoint or of maps."""

import json
import os.path as osp
from typing import Any

from ..core.measure.border_temperature import Temperature, as_temperature
from ..core.measure.temperature import check_temperature
from .atomic_write import atomic_write
from .checksum import sha256_of
from .json_file import read_json

__all__ = [
    'fingerprint',
    'load_temperature',
    'read_temperature',
    'temperature_path',
    'write_temperature',
]

MAX_BYTES = 2**20


def temperature_path(checkpoint: str) -> str:
    """Return the path of the temperature file of a checkpoint.

    Args:
        checkpoint (str): A file; ``~`` is expanded.
    """
    return f'{osp.expanduser(checkpoint)}.temperature.json'


def fingerprint(checkpoint: str | None) -> str:
    """SHA-256 of a checkpoint, as 64 hexadecimal digits.

    Args:
        checkpoint (str, optional): A file; ``~`` is expanded.

    Raises:
        ValueError: If it is not a local file.
    """
    if checkpoint is None or not osp.isfile(osp.expanduser(checkpoint)):
        raise ValueError(
            'a temperature belongs to one checkpoint, which has to be a local file, '
            f'not {checkpoint}: download or set load_from, or give the temperature as '
            'a number'
        )
    return sha256_of(osp.expanduser(checkpoint))


def write_temperature(path: str, record: dict[str, Any]) -> None:
    """Write a record; its folder is made if needed.

    Args:
        path (str): Where to.
        record (dict): With ``temperature``, with ``regions`` if there are any
            (:meth:`~mmaslp.core.measure.BorderTemperatures.record`), and with
            ``checkpoint_sha256`` if it belongs to a checkpoint.
    """
    atomic_write(path, json.dumps(record, indent=1, allow_nan=False) + '\n')


def read_temperature(
    checkpoint: str | None, path: str | None = None, regions: bool = True
) -> Temperature:
    """Read the temperature of a checkpoint.

    Args:
        checkpoint (str, optional): The file that is tested.
        path (str, optional): The JSON file. Defaults to None: that beside it.
        regions (bool): See :func:`load_temperature`. Defaults to True.

    Returns:
        float | BorderTemperatures: The temperature.

    Raises:
        FileNotFoundError: If there is no JSON file.
        ValueError: See :func:`load_temperature`; or if it belongs to other weights.
    """
    digest = fingerprint(checkpoint)
    path = osp.expanduser(path) if path else temperature_path(checkpoint)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no temperature at {osp.abspath(path)}: make it with '
            f'`mmaslp fit-temperature CONFIG {checkpoint}`, or give a number'
        )
    temperature, record = load_temperature(path, regions)
    if record.get('checkpoint_sha256') != digest:
        fitted = record.get('checkpoint') or f'maps in {record.get("maps")}'
        raise ValueError(
            f'{path}: was fitted to {fitted}, whose weights are not '
            f'those of {checkpoint}: run mmaslp fit-temperature on the latter'
        )
    return temperature


def load_temperature(
    path: str, regions: bool = True
) -> tuple[Temperature, dict[str, Any]]:
    """Read a temperature, whatever it was fitted to.

    Args:
        path (str): The JSON file; ``~`` is expanded.
        regions (bool): Whether to take the temperatures by region where the file has
            them; False takes the single one. Defaults to True.

    Returns:
        tuple[float | BorderTemperatures, dict]: The temperature, and all that the file
        says.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of ``mmaslp fit-temperature`` or
            ``mmaslp recalibrate``, or holds a temperature that is no finite number
            above 0, or regions that are not as these tools write them.
    """
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise FileNotFoundError(f'no temperature at {osp.abspath(path)}')
    try:
        record = read_json(path, MAX_BYTES)
        temperature = check_temperature(record['temperature'])
        if 'checkpoint_sha256' not in record and 'maps' not in record:
            raise ValueError('it names neither a checkpoint nor maps')
        by_region = as_temperature(record.get('regions', temperature))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: is no temperature file ({type(error).__name__}: {error}); make '
            'it anew with mmaslp fit-temperature'
        ) from error
    return (by_region if regions else temperature), record
