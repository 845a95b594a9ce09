"""The result of an evaluation, and the JSON files of one or several."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..common.arguments import (
    check_bool,
    check_choice,
    check_members,
    check_number,
    check_object,
    check_path,
    reading,
)
from ..common.arrays import ROUNDING
from ..common.bands import BORDER_EDGES
from ..common.inputs import read_file
from ..common.outputs import write_output
from ..files.names import short_names
from ..metrics.band_table import BORDERS, band_columns
from ..metrics.bins import BinTable, check_bins
from ..metrics.bootstrap import check_resamples
from ..metrics.catalogue import metric_of
from ..metrics.histogram import MODES
from ..metrics.image_table import ImageTable
from .sums import check_intervals, check_metrics, check_positive

# A file of another version is refused: evaluate the model again.
FORMAT = 'mmaslp result 5'
# Ends the name of a model whose probabilities a calibrator made.
CALIBRATED = ', calibrated'
# What the edges of bands count in, see :mod:`mmaslp.common.bands`.
BAND_UNIT = 'sqrt(height * width) / 64 pixels'


@dataclass(frozen=True)
class Result:
    """The evaluation of one model on one set.

    The metric makes it, files hold it, pages and comparisons read it.

    Attributes:
        images (ImageTable): The sums of every image.
        settings (dict): How it was measured: ``bins`` and ``mode`` of the confidence,
            ``resamples`` of the intervals, ``protocol`` and others.
        metrics (dict[str, float]): By the key of its :class:`~.errors.Metric`, and of
            single bands, see ``docs/metrics.md``; nan or missing where undefined.
        intervals (dict[str, list[float]]): 95 % bounds of metrics over images.
        positive (dict[str, float]): The metrics in mode 'positive'; empty unless the
            mode is 'top_label' and there are two classes.
        model (str): Name of the model.
        dataset (str): Name of the set.
        no_foreground (bool): Whether no mask holds an object.
        measures (dict[str, float]): Metrics of other libraries.
        files (list[dict]): Role, name and SHA-256 of what was evaluated.
    """

    images: ImageTable
    settings: dict[str, Any]
    metrics: dict[str, float]
    intervals: dict[str, list[float]] = field(default_factory=dict)
    positive: dict[str, float] = field(default_factory=dict)
    model: str = ''
    dataset: str = ''
    no_foreground: bool = False
    measures: dict[str, float] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in (self.model, self.dataset):
            if not isinstance(name, str):
                raise ValueError(
                    f'a name of a model or set must be a text, not {name!r}'
                )

    @property
    def is_calibrated(self) -> bool:
        """bool: Whether a calibrator made the probabilities, as far as files say."""
        return self.settings.get('calibrator') is not None

    @property
    def network(self) -> str:
        """str: Name of the model, the same with and without its calibrator."""
        return self.model.removesuffix(CALIBRATED)

    @property
    def is_positive(self) -> bool:
        """bool: Whether it was measured in mode 'positive'."""
        return self.settings.get('mode') == 'positive'

    def value_of(self, key: str) -> float | None:
        """Return a metric, of ours or of another library; None if it is not there."""
        if key in self.metrics:
            return self.metrics[key]
        return self.measures.get(key)

    @property
    def undirected(self) -> set[str]:
        """set[str]: Metrics of which none is better: the share of foreground."""
        if self.is_positive:
            return {'acc'}
        return set()

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def num_pixels(self) -> int:
        """Number of valid pixels."""
        return int(self.images.num_pixels.sum())

    @cached_property
    def bins(self) -> BinTable:
        """``(bins,)`` sums per bin, pooled over all images."""
        return self.images.table.pooled()

    @cached_property
    def bands(self) -> dict[str, BinTable]:
        """``(5,)`` sums per band, by border of ``BORDERS``; empty without bands."""
        if self.images.bands is None:
            return {}
        pooled = self.images.bands.pooled()
        return {border: pooled.take(row) for row, border in enumerate(BORDERS)}

    def to_json(self) -> dict[str, Any]:
        """Lay the result out as its file does."""
        content: dict[str, Any] = {
            'format': FORMAT,
            'model': self.model,
            'dataset': self.dataset,
            'no_foreground': self.no_foreground,
            'num_images': self.num_images,
            'num_pixels': self.num_pixels,
        }
        content |= self.metrics
        content['bins'] = self.bins.to_json()
        if self.bands:
            bands: dict[str, Any] = {'edges': list(BORDER_EDGES), 'unit': BAND_UNIT}
            for border, table in self.bands.items():
                bands[border] = table.to_json() | band_columns(table)
            content['bands'] = bands

        content['images'] = self.images.to_json()
        content['settings'] = self.settings
        for key in ('intervals', 'positive', 'measures', 'files'):
            value = getattr(self, key)
            if value:
                content[key] = value
        return content

    @classmethod
    def from_json(cls, content: Any) -> 'Result':
        """Rebuild a result of :meth:`to_json`.

        Raises:
            ValueError: It is of another version, a part does not fit, or a metric is
                not what the sums of the images give; also KeyError and TypeError.
        """
        content = check_object('it', content)
        if content.get('format') != FORMAT:
            raise ValueError(
                f'the format {content.get("format")!r} is not that of a result, or '
                'of another version: evaluate the model again'
            )
        settings = check_object('settings', content['settings'])
        bins = check_bins(settings['bins'])
        check_choice('mode', settings['mode'], MODES)
        resamples = check_resamples(settings.get('resamples', 0))

        images = ImageTable.from_json(check_object('images', content['images']), bins)
        metrics = {key: content[key] for key in content if key not in _NO_METRICS}
        metrics = _metrics(metrics)
        intervals = _intervals(_field(content, 'intervals'))
        positive = _metrics(_field(content, 'positive'))
        check_metrics(images, metrics)
        check_intervals(images, intervals, resamples)
        if positive:
            check_positive(images, metrics, positive)
        no_foreground = check_bool('no_foreground', content['no_foreground'])
        masks = images.masks
        if no_foreground and masks is not None and masks.foreground.any():
            raise ValueError('no_foreground is true, but masks of images hold some')
        return cls(
            images,
            settings,
            metrics,
            intervals=intervals,
            positive=positive,
            model=content['model'],
            dataset=content['dataset'],
            no_foreground=no_foreground,
            measures=_numbers(_field(content, 'measures'), at_least=0),
            files=[_file(entry) for entry in content.get('files', [])],
        )


# Keys of a file beside those of the metrics, which stand at its top.
_NO_METRICS = (
    'format',
    'model',
    'dataset',
    'no_foreground',
    'num_images',
    'num_pixels',
    'bins',
    'bands',
    'images',
    'settings',
    'intervals',
    'positive',
    'pictures',  # of a file of version 0.5
    'measures',
    'files',
)


def _metrics(values: dict[str, Any]) -> dict[str, float]:
    """Read metrics of a file, see :func:`_numbers`; ValueError if one cannot be."""
    numbers = _numbers(values)
    for key, value in numbers.items():
        name = key.removeprefix('low ').removeprefix('high ')  # of an interval
        if not metric_of(name).holds(value, ROUNDING):
            raise ValueError(f'{key} cannot be {value:g}')
    return numbers


def _field(content: dict[str, Any], name: str) -> dict[str, Any]:
    """A field of a file that may be missing, by key."""
    return check_object(name, content.get(name, {}))


def _intervals(values: dict[str, Any]) -> dict[str, list[float]]:
    """Read intervals of a file; ValueError if one is none."""
    intervals = {}
    for key, (low, high) in values.items():
        ends = _metrics({f'low {key}': low, f'high {key}': high})
        intervals[key] = list(ends.values())
        if intervals[key][0] > intervals[key][1]:
            raise ValueError('an interval ends below its beginning')
    return intervals


def _file(entry: dict[str, Any]) -> dict[str, str]:
    """Read role, name and checksum of what was evaluated."""
    entry = check_object('files', entry)
    return {key: str(entry[key]) for key in ('role', 'name', 'sha256')}


def _numbers(values: dict[str, Any], **limits: Any) -> dict[str, float]:
    """Read numbers of a file, in which null is nan."""
    numbers = {}
    for key, value in values.items():
        if value is None:
            numbers[key] = math.nan
        else:
            numbers[key] = check_number(key, value, **limits)
    return numbers


# Largest result file that is read: 2 to 5 KB per image.
MAX_BYTES = 2**28


def save_result(
    path: str | Path,
    result: Result | Sequence[Result],
    indent: int | None = 1,
    overwrite: bool = False,
) -> None:
    """Write a result, or a list of them, as strict JSON in one step; nan becomes null.

    The folder is made if needed. ``indent`` None gives the shortest file.
    """
    content: Any
    if isinstance(result, Result):
        content = result.to_json()
    else:
        content = [row.to_json() for row in check_members('result', result, Result)]
    write_output(path, strict_json(content, indent) + '\n', overwrite)


# Columns from which on a value lies on one line: json refuses what holds itself.
DEEPEST = 12
# Entries of a list that are written at a time.
AT_ONCE = 1000


def strict_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON; numbers that are not finite become null.

    With ``indent`` each entry of an object has a line, and so has each object of a
    list. A list of numbers stays on one line.
    """
    if indent is None:
        return _on_one_line(value, (',', ':'))
    return _in_lines(value, ' ' * indent)


def _in_lines(value: Any, step: str, margin: str = '') -> str:
    """Write a value from the column after ``margin`` on, each level by ``step``."""
    is_holder = isinstance(value, (Mapping, list)) and len(value) > 0
    if not is_holder or len(margin) > DEEPEST:
        return _on_one_line(value)

    inner = margin + step
    if isinstance(value, Mapping):
        lines = []
        for key, entry in value.items():
            name = key if isinstance(key, str) else json.dumps(key)
            lines.append(f'{json.dumps(name)}: {_in_lines(entry, step, inner)}')
        return _bracketed('{}', lines, inner, margin)
    if isinstance(value[0], Mapping):
        lines = [_in_lines(entry, step, inner) for entry in value]
        return _bracketed('[]', lines, inner, margin)

    # json keeps a text of each number until it has all.
    parts = []
    for start in range(0, len(value), AT_ONCE):
        part = _on_one_line(value[start : start + AT_ONCE])
        parts.append(part[1:-1])
    return f'[{", ".join(parts)}]'


def _bracketed(brackets: str, lines: list[str], inner: str, margin: str) -> str:
    """Put lines between two brackets, one below the other."""
    separator = f',\n{inner}'
    return f'{brackets[0]}\n{inner}{separator.join(lines)}\n{margin}{brackets[1]}'


def _on_one_line(value: Any, separators: tuple[str, str] | None = None) -> str:
    """Write a value as strict JSON without line breaks."""
    text = json.dumps(value, default=_plain, separators=separators)
    if 'NaN' in text or 'Infinity' in text:
        text = _TEXT_OR_NO_NUMBER.sub(_null, text)
    return text


# What json writes of numbers that are not finite, and texts, which may hold such words.
_TEXT_OR_NO_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|-?Infinity')


def _null(found: re.Match) -> str:
    """A text as it is; null in the place of NaN and Infinity."""
    return found[0] if found[0].startswith('"') else 'null'


def _plain(value: Any) -> Any:
    """What JSON can hold of a value that it does not know."""
    if hasattr(value, 'tolist'):
        return value.tolist()
    return str(value)


def load_results(path: str | Path) -> list[Result]:
    """Read the results of a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not such a file, or is of another version of the format. The
            message names the file.
    """
    with reading(
        f'{path}: is not a result file of mmaslp (calibration_SET.json of `mmaslp '
        'test`, or that of `mmaslp eval-maps --json`)'
    ):
        content = json.loads(read_file(check_path('path', path), MAX_BYTES))
        rows = [content]
        if isinstance(content, list):
            rows = content
        if not rows:
            raise ValueError('it is empty')
        return [Result.from_json(row) for row in rows]


def load_files(paths: Sequence[str]) -> list[Result]:
    """Read the results of several files; a network that two have is named by its file.

    So both of its rows are, the raw and the calibrated one.
    """
    names = dict(zip(paths, short_names(paths)))
    rows = []
    files_of_network: dict[tuple[str, str], set[str]] = {}
    for path, name in names.items():
        for row in load_results(path):
            _check_names(path, row)
            rows.append((name, row))
            files_of_network.setdefault((row.network, row.dataset), set()).add(name)

    results = []
    for name, row in rows:
        if len(files_of_network[row.network, row.dataset]) > 1:
            row = replace(row, model=f'{name}: {row.model}')
        results.append(row)
    return results


def _check_names(path: str, result: Result) -> None:
    """Refuse an image that is there twice: no row pairs with it."""
    names = result.images.names
    if len(set(names)) < len(names):
        raise ValueError(
            f'{path}: the same image is in it more than once: measure each once'
        )
