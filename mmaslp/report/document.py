"""What a report holds, and its JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from ..core.measure import ImageTable
from ..files.strict_json import strict_json

__all__ = ['Entry', 'Panel', 'Picture', 'Report', 'SourceFile', 'is_report']

FORMAT, VERSION = 'mmaslp report', 1
# What a page embeds. Anything else could be an address that the page would fetch.
_EMBEDDED = re.compile(r'data:image/(webp|png|jpeg);base64,[A-Za-z0-9+/]+={0,2}')


@dataclass(frozen=True)
class Panel:
    """One picture as the page embeds it.

    Args:
        source (str): A data URI of a WebP, PNG or JPEG.
        alt (str): What is seen, in words.

    Raises:
        ValueError: ``source`` is something else.
    """

    source: str
    alt: str

    def __post_init__(self) -> None:
        if not _EMBEDDED.fullmatch(self.source):
            raise ValueError('a panel must be an embedded WebP, PNG or JPEG')


@dataclass(frozen=True)
class Picture:
    """The panels of one image for one model.

    Args:
        name (str): File name of the image.
        metrics (dict[str, float | None]): Of this image: ``oe``, ``ue``, ``ece``, ...
        panels (dict[str, Panel]): Of :data:`~.pictures.PANELS`.
        reasons (tuple[str, ...]): Of 'over', 'under' and 'sample'; none if it is here
            because another model shows it.
    """

    name: str
    metrics: dict[str, float | None]
    panels: dict[str, Panel]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """A file that the figures come from.

    Args:
        role (str): Such as 'checkpoint' or 'result'.
        name (str): Its file name.
        sha256 (str): 64 hexadecimal digits.
    """

    role: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Entry:
    """One model on one set.

    Args:
        model (str): Name of the model.
        dataset (str): Name of the set.
        result (dict): As :func:`~mmaslp.files.results.calibration_result` returns
            it; undefined metrics are None.
        measures (dict[str, float | None]): Further metrics, which have no intervals.
        ood (bool): True keeps it out of means. Defaults to False.
        pictures (tuple[Picture, ...]): Defaults to none.
        files (tuple[SourceFile, ...]): Defaults to none.
        settings (dict[str, str]): Defaults to none.
    """

    model: str
    dataset: str
    result: dict[str, Any]
    measures: dict[str, float | None] = field(default_factory=dict)
    ood: bool = False
    pictures: tuple[Picture, ...] = ()
    files: tuple[SourceFile, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    @cached_property
    def images(self) -> ImageTable:
        """The table of images.

        Raises:
            ValueError: The result holds none, or an impossible one.
        """
        try:
            return ImageTable.from_json(
                self.result['images'], self.result['settings']['bins']
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f'{self.model}: its result has no table of images '
                f'({type(error).__name__}: {error})'
            ) from error

    def named(self, model: str, dataset: str) -> Entry:
        """Return the same under other names."""
        entry = replace(self, model=model, dataset=dataset)
        vars(entry)['images'] = self.images  # not read anew
        return entry


@dataclass(frozen=True)
class Report:
    """All that a page is made of.

    Args:
        title (str): The heading.
        entries (tuple[Entry, ...]): At least one.
        version (str): Of this package.
        created (str): Date and time.
        command (str): The command line; may be empty.
        baseline (str): The model that others are compared with first; '' for the first.
        pictures (int): How many images to show per set and reason. Defaults to 6.

    Raises:
        ValueError: There is no entry, or none of the baseline.
    """

    title: str
    entries: tuple[Entry, ...]
    version: str
    created: str
    command: str = ''
    baseline: str = ''
    pictures: int = 6

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError('a report needs at least one result')
        models = [entry.model for entry in self.entries]
        if self.baseline and self.baseline not in models:
            raise ValueError(
                f'the baseline {self.baseline!r} is none of the models: '
                f'{", ".join(dict.fromkeys(models))}'
            )

    def to_json(self) -> str:
        """Return the report as strict JSON; :meth:`from_json` rebuilds it."""
        head = {'format': FORMAT, 'format_version': VERSION}
        return json.dumps(
            {**head, **_fields(self)},
            allow_nan=False,
            separators=(',', ':'),
            default=_fields,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Report:
        """Rebuild a report.

        Args:
            content (Mapping): What the JSON of :meth:`to_json` reads as.

        Raises:
            ValueError: It is no report, one of a later version, or damaged.
        """
        if not is_report(content):
            raise ValueError('is no report of mmaslp')
        if content.get('format_version') != VERSION:
            raise ValueError(
                f'is a report of format {content.get("format_version")}, this version '
                f'of mmaslp reads format {VERSION}: update mmaslp'
            )
        texts = ('title', 'version', 'created', 'command', 'baseline')
        try:
            entries = tuple(_entry(each) for each in content['entries'])
            named = {key: _text(content[key]) for key in texts}
            return cls(entries=entries, pictures=int(content['pictures']), **named)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f'is a damaged report ({type(error).__name__}: {error})'
            ) from error


def is_report(content: Any) -> bool:
    """Whether the content of a JSON file says that it is a report."""
    return isinstance(content, Mapping) and content.get('format') == FORMAT


def plain_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result as its JSON file would have it, see :func:`without_fine_bins`."""
    return json.loads(strict_json(without_fine_bins(result)))


def without_fine_bins(result: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what no page needs and what takes two thirds of a file."""
    images = {key: each for key, each in result['images'].items() if key != 'narrow'}
    return {**result, 'images': images}


def _fields(value: Any) -> dict[str, Any]:
    """Fields of a dataclass; other values are no JSON."""
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _entry(content: Mapping[str, Any]) -> Entry:
    return Entry(
        model=_text(content['model']),
        dataset=_text(content['dataset']),
        result=dict(content['result']),
        measures=_numbers(content['measures']),
        ood=content['ood'] is True,
        pictures=tuple(_picture(each) for each in content['pictures']),
        files=tuple(
            SourceFile(*(_text(each[key]) for key in ('role', 'name', 'sha256')))
            for each in content['files']
        ),
        settings={key: _text(each) for key, each in content['settings'].items()},
    )


def _picture(content: Mapping[str, Any]) -> Picture:
    panels = {
        key: Panel(_text(each['source']), _text(each['alt']))
        for key, each in content['panels'].items()
    }
    reasons = tuple(_text(each) for each in content['reasons'])
    name = _text(content['name'])
    return Picture(name, _numbers(content['metrics']), panels, reasons)


def _numbers(content: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        key: None if value is None else float(value) for key, value in content.items()
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is no text')
    return value
