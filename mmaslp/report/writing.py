"""Writing the page of a report, and beside it the JSON that rebuilds it."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ..files.atomic_write import atomic_write
from ..files.private_paths import short_names, without_folders
from ..version import __version__
from . import Entry, Report, report_html

__all__ = ['PICTURES', 'json_beside', 'write_report']

# Images to show per set and reason, unless another number is asked for.
PICTURES = 6


def write_report(
    path: str | Path,
    entries: Sequence[Entry],
    *,
    title: str = 'Calibration report',
    baseline: str = '',
    pictures: int = PICTURES,
    paths: bool = False,
    argv: Sequence[str] | None = None,
) -> Report:
    """Write the page, and beside it the JSON that rebuilds it.

    Args:
        path (str | Path): Of the page; for the JSON see :func:`json_beside`.
        entries (Sequence[Entry]): One per model and set.
        title (str): Defaults to 'Calibration report'.
        baseline (str): The model that others are compared with first. Defaults to '':
            the first.
        pictures (int): How many images to show per set and reason. Defaults to 6.
        paths (bool): Keep absolute paths in settings and command. Defaults to False:
            only their last parts.
        argv (Sequence[str], optional): The command that is noted. Defaults to None:
            that of this process.

    Returns:
        Report: What was written.

    Raises:
        ValueError: There is no entry, or none of the baseline.
    """
    if not paths:
        entries = [_private(entry) for entry in entries]
    report = Report(
        title,
        tuple(entries),
        __version__,
        datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        _command(sys.argv if argv is None else argv, paths),
        baseline,
        pictures,
    )
    # Names that are not UTF-8 are shown escaped.
    atomic_write(path, report_html(report).encode(errors='backslashreplace'))
    atomic_write(json_beside(path), report.to_json() + '\n')
    return report


def json_beside(path: str | Path) -> Path:
    """Path of the JSON of a page: ``x.report.json`` of ``x.html``."""
    return Path(path).with_suffix('.report.json')


def _private(entry: Entry) -> Entry:
    """Leave the folders of this machine out of names and settings."""
    result = dict(entry.result)
    names = short_names(result['images']['names'])
    result['images'] = {**result['images'], 'names': names}
    result['settings'] = {
        key: without_folders(value) if isinstance(value, str) else value
        for key, value in result['settings'].items()
    }
    settings = {key: without_folders(each) for key, each in entry.settings.items()}
    model = without_folders(entry.model)
    return replace(entry, model=model, result=result, settings=settings)


def _command(argv: Sequence[str], paths: bool) -> str:
    name = Path(argv[0]).name if argv else ''
    program = 'mmaslp' if name == '__main__.py' else name
    rest = [each if paths else without_folders(each) for each in argv[1:]]
    return shlex.join([program, *rest])
