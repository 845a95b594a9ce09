"""Inline SVG: elements, and a frame that maps data to points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

__all__ = ['Frame', 'element', 'joined', 'mark', 'marker']

# Shapes of points in a square of side 2 about the origin, so that colour is not needed.
_SHAPES = (
    'M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0z',
    'M-.9-.9h1.8v1.8h-1.8z',
    'M0-1.2 1.1.8H-1.1z',
    'M0-1.3 1.3 0 0 1.3-1.3 0z',
    'M0 1.2 1.1-.8H-1.1z',
    'M-.4-1.2h.8v.8h.8v.8h-.8v.8h-.8v-.8h-.8v-.8h.8z',
)
COLOURS = 10


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """One element; texts and values are escaped.

    Args:
        tag (str): Its name.
        *children: Markup, or text.
        **attributes: ``class_`` becomes class, other underscores hyphens; None is left
            out, numbers are rounded to tenths.
    """
    given = ''.join(
        f' {_name(key)}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not children:
        return Markup(f'<{tag}{given}/>')
    return Markup(f'<{tag}{given}>{joined(children)}</{tag}>')


def joined(children: Sequence[Any]) -> Markup:
    """Put markup and texts behind one another; texts are escaped."""
    return Markup('').join(children)


def mark(text: str, *children: Any, **attributes: Any) -> Markup:
    """A part of a diagram that says its values on hover and when it has the focus."""
    classes = ' '.join(filter(None, ('mark', attributes.pop('class_', ''))))
    return element(
        'g',
        element('title', text),
        *children,
        class_=classes,
        role='img',
        tabindex=-1,
        **attributes,
    )


def marker(index: int, x: float, y: float, size: float = 3.4) -> Markup:
    """The point of a series; its shape and colour tell which."""
    return element(
        'path',
        d=_SHAPES[index % len(_SHAPES)],
        transform=f'translate({x:.1f} {y:.1f}) scale({size})',
        class_=f'point c{index % COLOURS}',
    )


def line(index: int, points: Sequence[tuple[float, float]]) -> Markup:
    """The line of a series; every tenth series begins another dash pattern."""
    return element(
        'polyline',
        points=' '.join(f'{x:.1f},{y:.1f}' for x, y in points),
        class_=f'line c{index % COLOURS} d{index // COLOURS % 3}',
    )


@dataclass(frozen=True)
class Frame:
    """A rectangle of a diagram in which data are drawn.

    Args:
        left, top, width, height (float): In units of the diagram.
        x, y (tuple[float, float]): Range of the data.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def px(self, value: float) -> float:
        """Across, from the left."""
        return self.left + (value - self.x[0]) / (self.x[1] - self.x[0]) * self.width

    def py(self, value: float) -> float:
        """Down, from the top."""
        share = (value - self.y[0]) / (self.y[1] - self.y[0])
        return self.top + (1 - min(max(share, 0), 1)) * self.height

    def bar(
        self, left: float, right: float, low: float, high: float, class_: str
    ) -> Markup:
        """A filled rectangle between data values."""
        return element(
            'rect',
            x=self.px(left),
            y=self.py(high),
            width=self.px(right) - self.px(left),
            height=max(self.py(low) - self.py(high), 0),
            class_=class_,
        )

    def whisker(self, x: float, low: float, high: float, shift: float = 0) -> Markup:
        """An interval, with caps."""
        across, upper, lower = self.px(x) + shift, self.py(high), self.py(low)
        path = f'M{across - 2.5:.1f} {upper:.1f}h5M{across:.1f} {upper:.1f}V{lower:.1f}'
        path += f'M{across - 2.5:.1f} {lower:.1f}h5'
        return element('path', d=path, class_='whisker')

    def y_axis(self, ticks: Sequence[float], text: str, label: str) -> Markup:
        """Grid lines with their values, and what they measure."""
        parts = []
        for tick in ticks:
            height = self.py(tick)
            parts.append(
                element(
                    'line',
                    x1=self.left,
                    x2=self.left + self.width,
                    y1=height,
                    y2=height,
                    class_='grid',
                )
            )
            parts.append(
                element(
                    'text',
                    text.format(tick),
                    x=self.left - 5,
                    y=height + 3.5,
                    class_='end',
                )
            )
        middle = self.top + self.height / 2
        turned = f'translate(11 {middle:.1f}) rotate(-90)'
        parts.append(element('text', label, transform=turned, class_='middle'))
        return joined(parts)

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> Markup:
        """Names below the frame, and what they measure."""
        base = self.top + self.height
        parts = [
            element('text', name, x=self.px(tick), y=base + 14, class_='middle')
            for tick, name in ticks
        ]
        middle = self.left + self.width / 2
        parts.append(element('text', label, x=middle, y=base + 30, class_='middle'))
        return joined(parts)


def _name(key: str) -> str:
    return key.rstrip('_').replace('_', '-') if key != 'viewBox' else key


def _value(value: Any) -> str:
    return f'{value:.1f}'.removesuffix('.0') if isinstance(value, float) else str(value)
