"""The JSON file beside a checkpoint that holds its temperature."""

import hashlib
import json
import os.path as osp
from pathlib import Path

from ..core.calibration.temperature import check_temperature
from .atomic_write import atomic_write

__all__ = ['fingerprint', 'read_temperature', 'temperature_path', 'write_temperature']


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
    digest = hashlib.sha256()
    with open(osp.expanduser(checkpoint), 'rb') as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def write_temperature(path: str, record: dict) -> None:
    """Write a record; its folder is made if needed.

    Args:
        path (str): Where to.
        record (dict): With ``temperature`` and ``checkpoint_sha256``; see
            :func:`~mmaslp.apis.temperature.fit_checkpoint`.
    """
    atomic_write(path, json.dumps(record, indent=1, allow_nan=False) + '\n')


def read_temperature(checkpoint: str | None, path: str | None = None) -> float:
    """Read the temperature of a checkpoint.

    Args:
        checkpoint (str, optional): The file that is tested.
        path (str, optional): The JSON file. Defaults to None: that beside it.

    Raises:
        FileNotFoundError: If the JSON file does not exist.
        ValueError: If ``tools/fit_temperature.py`` did not write it, it holds no finite
            temperature above 0, or it belongs to other weights.
    """
    digest = fingerprint(checkpoint)
    path = osp.expanduser(path) if path else temperature_path(checkpoint)
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no temperature at {osp.abspath(path)}: make it with '
            f'`python tools/fit_temperature.py CONFIG {checkpoint}`, or give a number'
        )
    try:
        record = json.loads(Path(path).read_text(encoding='utf-8'))
        temperature = check_temperature(record['temperature'])
        fitted = record['checkpoint_sha256']
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: is no temperature file ({type(error).__name__}: {error}); make '
            'it anew with tools/fit_temperature.py'
        ) from error
    if fitted != digest:
        raise ValueError(
            f'{path}: was fitted to {record.get("checkpoint")}, whose weights are not '
            f'those of {checkpoint}: run tools/fit_temperature.py on the latter'
        )
    return temperature
