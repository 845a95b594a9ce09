"""A calibration report: one HTML file that needs no other file."""

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..core.calibration import BORDERS
from ..utils.atomic_write import atomic_write
from .panels import image_panels
from .regions import band_names, region_figure
from .reliability import reliability_figure
from .text_table import CALIBRATION_KEYS, metric_text, with_mean

_STYLE = """
:root{--ink:#22282f;--soft:#667080;--line:#d9dee4;--over:#c8442c;--under:#2b6cb0}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:70rem;color:var(--ink);background:#fff;
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;
 border-top:1px solid var(--line);padding-top:1rem}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.4rem 0;color:var(--soft)}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;
 white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:#fff}
tr.mean td{font-weight:600;border-top:2px solid var(--ink)}
.diagram{width:100%;max-width:26rem;height:auto;display:block}
.wide{max-width:52rem}
.worst{border:1px solid var(--line);border-radius:6px;padding:.6rem;margin:.6rem 0}
.worst b{overflow-wrap:anywhere}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.5rem}
figure{margin:0}figure img{width:100%;height:auto;display:block;
 border:1px solid var(--line)}
figcaption{font-size:.8rem;color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.key span{padding:0 .3rem;color:#fff;border-radius:3px}
"""


def write_report(
    path: str | Path,
    sections: Mapping[str, dict[str, Any]],
    settings: Mapping[str, Any] | None = None,
    title: str = 'Calibration report',
    mean: bool = True,
) -> None:
    """Write the report of one evaluation.

    Args:
        path (str | Path): Where to; its folder is made if needed.
        sections (dict[str, dict]): One per test set or model: ``result`` (see
            :func:`~mmaslp.evaluation.results.calibration_result`), and optionally
            ``metrics`` (more {name: float} for the table, such as SOD measures),
            ``ood`` (True keeps it out of the mean),
            ``worst`` (items of :class:`~mmaslp.evaluation.worst_images.WorstImages`)
            and ``images`` ({name of an item: image file}; by default the name itself
            is tried).
        settings (dict, optional): Settings of the evaluation, shown at the end.
            Defaults to None.
        title (str): Defaults to 'Calibration report'.
        mean (bool): Add the mean over the sections to the table. It makes sense for
            several test sets, not for several models. Defaults to True.

    Raises:
        ValueError: There is no section.
    """
    if not sections:
        raise ValueError('a report needs at least one section')
    parts = [
        f'<h1>{escape(title)}</h1>',
        '<p>Pooled over pixels; 95 % bootstrap intervals over images in brackets. '
        'A dash marks a metric that is undefined, such as those of the foreground '
        'where all masks are empty.</p>',
        _summary(sections, mean),
        *(_section(name, section) for name, section in sections.items()),
        _settings(sections, settings or {}),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n'
        + '\n'.join(parts)
        + '\n</body></html>\n'
    )
    # Names that are not UTF-8 are shown escaped.
    atomic_write(path, page.encode(errors='backslashreplace'))


def _summary(sections: Mapping[str, dict[str, Any]], mean: bool) -> str:
    """A table of the calibration metrics and, if there are others, one of these."""
    groups = (
        {
            name: {key: section['result'].get(key) for key in CALIBRATION_KEYS}
            for name, section in sections.items()
        },
        {name: section.get('metrics', {}) for name, section in sections.items()},
    )
    return '\n'.join(
        _table(rows, sections, mean) for rows in groups if any(rows.values())
    )


def _table(
    rows: Mapping[str, dict[str, Any]],
    sections: Mapping[str, dict[str, Any]],
    mean: bool,
) -> str:
    """Table with a row per section and maybe the mean."""
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    head = ''.join(f'<th>{escape(key)}</th>' for key in ('', *keys, 'images'))
    body = []
    apart = [name for name, section in sections.items() if section.get('ood')]
    for name, row in (with_mean(rows, apart) if mean else rows).items():
        own = name in sections
        cells = ''.join(f'<td>{metric_text(row.get(key))}</td>' for key in keys)
        count = f'{sections[name]["result"]["num_images"]:,}' if own else ''
        body.append(
            f'<tr{"" if own else " class=mean"}><td>{escape(name)}</td>{cells}'
            f'<td>{count}</td></tr>'
        )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(body)}</tbody></table></div>'
    )


def _section(name: str, section: dict[str, Any]) -> str:
    """Diagram, all metrics and worst images of one test set."""
    result = section['result']
    diagram = reliability_figure({name: result}, width=4)
    parts = [
        f'<h2>{escape(name)}</h2>',
        _diagram(diagram, f'reliability diagram of {name}', 'diagram'),
        *(_regions(name, result) if 'regions' in result else ()),
        _all_metrics(result),
    ]
    worst = section.get('worst', [])
    if worst:
        parts.append(
            '<h3>Most over-confident images</h3><p class="key">Sorted by their '
            'over-confidence error. In the error panel <span style="background:'
            'var(--over)">red</span> is a probability above the mask, <span '
            'style="background:var(--under)">blue</span> one below it.</p>'
        )
    images = section.get('images')
    for item in worst:
        image = item['name'] if images is None else images.get(item['name'])
        parts.append(_worst(item, image))
    return '\n'.join(parts)


def _diagram(figure: Figure, text: str, css: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='svg')
    return _image(buffer.getvalue(), 'svg+xml', text, css)


def _regions(name: str, result: dict[str, Any]) -> list[str]:
    """Picture and tables of the bands of distance from a border."""
    regions = result['regions']
    parts = [
        '<h3>By distance from the border</h3>'
        f'<p>In units of {escape(regions["unit"])}; the last band also holds images '
        'without a border. Gap is confidence minus accuracy.</p>',
        _diagram(
            region_figure({name: result}, width=4), f'regions of {name}', 'diagram wide'
        ),
    ]
    keys = ('share', 'accuracy', 'confidence', 'gap')
    for border in BORDERS:
        head = ''.join(f'<th>{each}</th>' for each in (f'{border} border', *keys))
        rows = zip(
            band_names(regions['edges']), *(regions[border][key] for key in keys)
        )
        body = ''.join(
            f'<tr><td>{escape(band)}</td>'
            + ''.join(f'<td>{metric_text(value)}</td>' for value in values)
            + '</tr>'
            for band, *values in rows
        )
        parts.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
            f'<tbody>{body}</tbody></table></div>'
        )
    return parts


def _all_metrics(result: dict[str, Any]) -> str:
    """All metrics with their intervals."""
    intervals = result.get('intervals', {})
    rows = []
    for key, value in result.items():
        if value is not None and not isinstance(value, float):
            continue
        low, high = intervals.get(key) or (None, None)
        span = f'[{metric_text(low)}, {metric_text(high)}]'
        rows.append(
            f'<tr><td>{escape(key)}</td><td>{metric_text(value)}</td>'
            f'<td>{span if metric_text(low) != "-" else ""}</td></tr>'
        )
    return (
        '<details><summary>All metrics</summary><div class="scroll"><table><tbody>'
        f'{"".join(rows)}</tbody></table></div></details>'
    )


def _worst(item: dict[str, Any], image: str | Path | None) -> str:
    panels = ''
    for caption, panel in image_panels(item, image).items():
        buffer = io.BytesIO()
        panel.save(buffer, 'PNG')
        picture = _image(buffer.getvalue(), 'png', caption)
        panels += f'<figure>{picture}<figcaption>{caption}</figcaption></figure>'
    metrics = ', '.join(
        f'{key} {metric_text(item["metrics"].get(key))}'
        for key in ('oe', 'ece', 'acc', 'conf')
    )
    return (
        f'<div class="worst"><b>{escape(Path(item["name"]).name)}</b> '
        f'<p>{metrics}</p><div class="panels">{panels}</div></div>'
    )


def _settings(
    sections: Mapping[str, dict[str, Any]], settings: Mapping[str, Any]
) -> str:
    entries = dict(settings)
    for name, section in sections.items():
        for key, value in section['result'].get('settings', {}).items():
            entries[f'{name}: {key}'] = value
    rows = ''.join(
        f'<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>'
        for key, value in entries.items()
        if value is not None
    )
    return f'<h2>Settings</h2><dl>{rows}</dl>'


def _image(data: bytes, kind: str, text: str, css: str = '') -> str:
    """Embed a picture."""
    code = base64.b64encode(data).decode('ascii')
    css = f' class="{css}"' if css else ''
    return f'<img{css} alt="{escape(text)}" src="data:image/{kind};base64,{code}">'
