r"""Draw the pictures of the pages, light and dark.

    python docs/draw_pictures.py architecture
    python docs/draw_pictures.py calibrated_network EVAL 'as trained' \
        'after mmaslp fit, apply'
    python docs/draw_pictures.py published_network EVAL 'as shipped' \
        'one temperature' 'mmaslp fit'
    mmaslp demo && python docs/draw_pictures.py review work_dirs/demo/bce

``EVAL``, of ``mmaslp eval-maps MAPS... MASKS --json EVAL``, holds a result for each
title. The first maps are those of ShortDefault that ``benchmarks/nnunet.sh`` leaves,
the second MediaPipe's of the results page. Fonts are large: phones show pictures small.
"""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.patches import Patch
from PIL import Image

from mmaslp import Calibrator
from mmaslp.files.images import read_binary_mask
from mmaslp.files.layouts import NUCLEI
from mmaslp.files.prob_maps import MapReader
from mmaslp.report.diagrams import new_figure

IMAGES = Path(__file__).resolve().parent / 'images'
# Background, ink, grid, over-confident, under-confident, box.
THEMES = {
    '': ('#ffffff', '#22282f', '#d9dee4', '#c8442c', '#2b6cb0', '#f4f6f8'),
    '_dark': ('#131416', '#e3e6ea', '#3a4049', '#f08a72', '#7fb2ea', '#22272e'),
}
# Ends of the bands, in percent of the side of an image: 1, 2, 4 and 8 of 64 units.
BANDS = ('0', '1.6', '3', '6', '12')
# Room, its parts, and what it is.
ROOMS = (
    ('commands', (), 'what you type: one file for each command'),
    (
        'integrations',
        ('mmseg', 'lightning.py', 'torchmetrics.py', 'transformers.py', 'nnunet'),
        'one thin adapter for each toolkit',
    ),
    ('report', (), 'results in, pages and diagrams out'),
    ('workflows', (), 'measure, fit, apply, review, prepare a folder'),
    ('evaluation', (), 'results, measured on maps or in a test'),
    ('files', (), 'maps, masks, volumes, data sets'),
    ('training', (), 'what a training decides, once for all toolkits'),
    ('calibration', (), 'calibrators, chosen out of fold'),
    ('levels', (), 'by band and by image: rules, guard'),
    ('metrics', (), 'metrics from counts, and their intervals'),
    ('losses', (), 'the criterion, its targets, perturbations'),
    ('augmentation', (), 'windows without an object'),
    ('common', (), 'bands, arguments, arrays, outputs'),
)


def draw_bands(results, titles, path, theme):
    """How sure and how right networks are, by distance from the border."""
    paper, ink, grid, over, under, _ = theme
    figure = new_figure(1.2 + 3 * len(results), 4.6, facecolor=paper)
    axes = figure.subplots(1, len(results), sharey=True)
    for axis, title, result in zip(axes, titles, results):
        bands = result['bands']['predicted']
        right, sure = (
            100 * np.array(bands[key], float) for key in ('accuracy', 'confidence')
        )
        place = np.arange(len(right))
        sign = [over if s > r else under for r, s in zip(right, sure)]
        axis.bar(place, sure - right, 0.6, right, color=sign, alpha=0.55)
        axis.plot(place, right, 'o-', color=ink, label='how often it is right', lw=2)
        axis.plot(place, sure, 'o:', color=ink, label='how sure it is', lw=2)
        axis.set_title(title, fontsize=16, fontweight='bold', color=ink)
        axis.set_xticks(place - 0.5, BANDS)
        axis.set_xlim(-0.5, len(right) - 0.5)
        axis.yaxis.set_major_formatter('{x:.0f} %')
        axis.tick_params(colors=ink, labelsize=14)
        axis.set_facecolor(paper)
        axis.grid(color=grid)
        axis.set_axisbelow(True)
        for side in axis.spines.values():
            side.set_color(grid)
    handles, labels = axes[0].get_legend_handles_labels()
    handles += [Patch(color=each, alpha=0.55) for each in (over, under)]
    low, _ = axes[0].get_ylim()
    axes[0].set_ylim(low, 101)
    figure.text(
        *(0.5, 0.2, 'distance from the border, in % of the side of the image'),
        **dict(ha='center', fontsize=14, color=ink),
    )
    figure.legend(
        *(handles, [*labels, 'too sure', 'not sure enough']),
        **dict(ncols=2, loc='lower center', frameon=False, fontsize=14),
        labelcolor=ink,
    )
    figure.tight_layout(rect=(0, 0.24, 1, 1))
    figure.savefig(path, dpi=150, facecolor=paper)


# Which images the strip shows, from the most doubtful, 0, to the surest, 1.
SHOWN = (0, 0.1, 0.3, 0.6, 0.9)


def reviewed(folder):
    """Photograph, estimate, objects and true Dice of the test images of a demo."""
    calibrator = Calibrator.load(folder / 'calibrator.json')
    test = NUCLEI / 'test'
    images = []
    for path in sorted((folder / 'maps').iterdir()):
        prob = MapReader().read(path)
        label = read_binary_mask(test / 'masks' / path.name) == 1
        estimate, objects = calibrator.judge(prob)
        inside = prob > 0.5
        dice = 2 * (inside & label).sum() / max(1, inside.sum() + label.sum())
        photo = Image.open(test / 'images' / f'{path.stem}.jpg').convert('RGB')
        images.append((photo, estimate, objects, dice))
    return sorted(images, key=lambda row: row[1].score)


def draw_review(images, path, theme):
    """Test images, the most doubtful first: expected and true Dice, objects."""
    from matplotlib import colormaps

    paper, ink, *_ = theme
    colours = colormaps['RdYlBu']
    figure = new_figure(9.2, 3.1, facecolor=paper)
    axes = figure.subplots(1, len(SHOWN))
    for axis, place in zip(axes, SHOWN):
        image, estimate, objects, dice = images[round(place * (len(images) - 1))]
        axis.imshow(image, interpolation='bicubic')
        for label, p in zip(objects.label, objects.probability):
            inside = objects.labels == label
            axis.contourf(inside, [0.5, 1.5], colors=[colours(p)], alpha=0.25)
            axis.contour(inside, [0.5], colors=[colours(p)], linewidths=1.8)
        expected = f'expected {estimate.dice:.2f}'
        if np.isnan(estimate.dice):
            expected = 'cannot tell'
        text = f'{expected}\ntrue {dice:.2f}'
        axis.set_title(text, fontsize=14, color=ink)
        axis.axis('off')
    bar = figure.add_axes((0.25, 0.13, 0.5, 0.045))
    bar.imshow(np.linspace(0, 1, 256)[None], aspect='auto', cmap=colours)
    bar.set_xticks([0, 127.5, 255], ['0', '1/2', '1'])
    bar.set_yticks([])
    bar.tick_params(colors=ink, labelsize=12)
    figure.text(
        *(0.5, 0.19, 'probability that the object is real'),
        **dict(ha='center', fontsize=13, color=ink),
    )
    figure.subplots_adjust(left=0.01, right=0.99, top=0.8, bottom=0.27, wspace=0.05)
    figure.savefig(path, dpi=150, facecolor=paper)


def draw_rooms(path, theme):
    """The rooms of the package; imports go down."""
    paper = theme[0]
    shapes, top = [], 12
    for name, parts, what in ROOMS:
        height = 116 if parts else 68
        shapes.append(_box(name, what, (12, top, 496, height), theme))
        width = (472 - 8 * (len(parts) - 1)) / max(1, len(parts))
        for number, part in enumerate(parts):
            left = 24 + number * (width + 8)
            place = (round(left), top + 70, round(width), 34)
            shapes.append(_box(f'{name}/{part}', None, place, theme))
        top += height + 14
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 {0}" '
        'font-family="system-ui, sans-serif" role="img" aria-labelledby="title">\n'
        '<title id="title">The rooms of mmaslp, from the commands at '
        'the top to what all share; a room imports from the rooms below it</title>\n'
        '<rect width="520" height="{0}" fill="{1}"/>\n{2}\n</svg>\n'
    )
    path.write_text(text.format(top, paper, '\n'.join(shapes)), encoding='utf-8')


def _box(name, what, place, theme):
    paper, ink, grid, *_, box = theme
    x, y, width, height = place
    fill, size, bold = (paper, 12.5, '400') if what is None else (box, 20, '600')
    middle, line = x + width / 2, y + (22 if what is None else 30)
    said = f'font-size="{size}" font-weight="{bold}" fill="{ink}"'
    lines = [
        f'<g data-module="{name}"><rect x="{x}" y="{y}" width="{width}" '
        f'height="{height}" rx="6" fill="{fill}" stroke="{grid}"/>',
        f'<text x="{middle:g}" y="{line}" text-anchor="middle" {said}>'
        f'{name.rpartition("/")[2].removesuffix(".py")}</text>',
    ]
    if what:
        lines.append(
            f'<text x="{middle:g}" y="{y + 54}" text-anchor="middle" font-size="16" '
            f'fill="{ink}">{what}</text>'
        )
    return ''.join([*lines, '</g>'])


def main(name, file=None, *titles):
    """Draw one picture: of the rooms, of networks, or of a review."""
    if name == 'review':
        images = reviewed(Path(file))
        for end, theme in THEMES.items():
            draw_review(images, IMAGES / f'{name}{end}.png', theme)
        return
    results = file and json.loads(Path(file).read_text(encoding='utf-8'))
    for end, theme in THEMES.items():
        if results:
            draw_bands(results, titles, IMAGES / f'{name}{end}.png', theme)
        else:
            draw_rooms(IMAGES / f'{name}{end}.svg', theme)


if __name__ == '__main__':
    main(*sys.argv[1:])
