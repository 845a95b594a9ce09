"""Which pictures a page shows where: the same image of all models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from .analysis import ImageSet, Measured
from .document import Panel, Picture
from .pictures import chosen
from .text_table import metric_text

__all__ = ['Gallery', 'Shown', 'View', 'galleries']

# Reason, heading, the metric that decides.
_KINDS = (
    ('over', 'Most over-confident', 'oe'),
    ('under', 'Most under-confident', 'ue'),
    ('sample', 'Random sample', ''),
)


@dataclass(frozen=True)
class View:
    """One image as a model sees it.

    Args:
        model (str): Its name.
        index (int): Its number, for its colour.
        figures (str): Metrics of the image as text.
        panels (tuple[tuple[str, Panel], ...]): Probability and error.
    """

    model: str
    index: int
    figures: str
    panels: tuple[tuple[str, Panel], ...]


@dataclass(frozen=True)
class Shown:
    """One image.

    Args:
        name (str): Its file name.
        why (str): Why it is shown.
        panels (tuple[tuple[str, Panel], ...]): Photograph, if there is one, and mask.
        views (tuple[View, ...]): One per model that has kept it.
    """

    name: str
    why: str
    panels: tuple[tuple[str, Panel], ...]
    views: tuple[View, ...]


@dataclass(frozen=True)
class Gallery:
    """The images of one set for one reason.

    Args:
        title (str): What they are.
        images (tuple[Shown, ...]): Those that are not shown further up.
        above (tuple[str, ...]): Names of those that are.
    """

    title: str
    images: tuple[Shown, ...]
    above: tuple[str, ...]


def galleries(group: ImageSet, number: int) -> list[Gallery]:
    """Lay out the pictures of one set; nothing if no model has kept any.

    Args:
        group (ImageSet): Models on the same images.
        number (int): How many images per reason; see :func:`~.pictures.chosen`.
    """
    by_stem: dict[str, dict[str, tuple[Measured, Picture]]] = {}
    for member in group.members:
        for picture in member.entry.pictures:
            own = by_stem.setdefault(PurePath(picture.name).stem, {})
            own[member.entry.model] = (member, picture)
    picked = chosen(_ranked(group), number)
    found, seen = [], set()
    for why, title, key in _KINDS:
        names = picked.get(why, [])
        new = [name for name in names if name not in seen]
        seen.update(new)
        images = tuple(_shown(by_stem[name], why, key) for name in new)
        above = tuple(name for name in names if name not in new)
        if names:
            found.append(Gallery(title, images, above))
    return found


def _ranked(group: ImageSet) -> dict[str, dict[str, list[str]]]:
    """By model and reason, stems of the images, the worst first."""
    ranked: dict[str, dict[str, list[str]]] = {}
    for member in group.members:
        own = ranked.setdefault(member.entry.model, {})
        for why, _, key in _KINDS:
            pictures = [p for p in member.entry.pictures if why in p.reasons]
            if key:
                pictures.sort(key=lambda p: -(p.metrics.get(key) or 0))
            own[why] = [PurePath(p.name).stem for p in pictures]
    return ranked


def _shown(own: dict[str, tuple[Measured, Picture]], why: str, key: str) -> Shown:
    pictures = [picture for _, picture in own.values()]
    named = [model for model, (_, picture) in own.items() if why in picture.reasons]
    reason = ''
    if key and len(own) > 1:
        reason = f'among the worst of {", ".join(named)}'
    first = max(pictures, key=lambda picture: len(picture.panels))
    return Shown(
        first.name,
        reason,
        _panels(first, ('image', 'mask')),
        tuple(
            View(
                model,
                member.index,
                ', '.join(
                    f'{name} {metric_text(picture.metrics.get(metric))}'
                    for metric, name in (
                        ('oe', 'OE'),
                        ('ue', 'UE'),
                        ('acc', 'accuracy'),
                        ('conf', 'confidence'),
                    )
                ),
                _panels(picture, ('probability', 'error')),
            )
            for model, (member, picture) in own.items()
        ),
    )


def _panels(picture: Picture, keys: Sequence[str]) -> tuple[tuple[str, Panel], ...]:
    return tuple((key, picture.panels[key]) for key in keys if key in picture.panels)
