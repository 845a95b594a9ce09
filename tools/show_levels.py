#!/usr/bin/env python
"""Show which images have the highest and lowest levels, and what low ones find.

Example:
    python tools/show_levels.py configs/demo/aslp_mc.py work_dirs/aslp_mc/epoch_100.pth
"""

import argparse
import os
import os.path as osp

import numpy as np
from PIL import Image

from mmaslp.apis.cli import add_cfg_options, exit_on_user_error
from mmaslp.apis.config import check_checkpoint, load_config
from mmaslp.apis.levels import (
    find_manifest,
    level_summary,
    predictions,
    read_levels,
    training_set,
    wrong_images,
)
from mmaslp.evaluation.results import save_result
from mmaslp.utils.level_table import write_level_table
from mmaslp.visualization.alpha import alpha_histogram
from mmaslp.visualization.levels import levels_sheet
from mmaslp.visualization.reliability import save_figure


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Show the training images with the lowest and highest levels of '
        'a run with ASLPHook, and how well low levels find wrong masks.'
    )
    parser.add_argument('config', help='config file of the run')
    parser.add_argument('checkpoint', help='checkpoint that the training wrote')
    parser.add_argument(
        '--out', metavar='DIR', help='defaults to levels/ beside the checkpoint'
    )
    parser.add_argument(
        '--num', type=int, default=12, help='images at each end, defaults to 12'
    )
    parser.add_argument(
        '--wrong',
        metavar='FILE',
        help='images whose mask is known to be wrong: JSON {"wrong_masks": [names]} '
        'or a text file, one name a line. The built-in data brings its own',
    )
    add_cfg_options(parser)
    return parser.parse_args(argv)


def known_wrong(args, dataset, levels):
    """Tell which masks are known to be wrong, None if nobody knows."""
    if args.wrong:
        return wrong_images(args.wrong, levels.ids)[0]
    manifest = find_manifest(dataset)
    if manifest is None:
        return None
    wrong, left_out = wrong_images(manifest, levels.ids, complete=False)
    if left_out:
        print(f'{left_out} wrong masks of {manifest} are not in the config')
    return wrong


def both_ends(levels, num, wrong):
    """Choose the images of the contact sheet.

    Returns:
        dict[str, np.ndarray]: Headline to rows, the most extreme level first.
    """
    num = min(num, len(levels.ids) // 2)
    order = np.argsort(levels.alpha, kind='stable')
    ends = {'lowest': order[:num], 'highest': order[::-1][:num]}
    blocks = {}
    for name, rows in ends.items():
        head = f'The {num} {name} of {len(order)} levels'
        if wrong is not None:
            head += f', with {wrong[rows].sum()} of {wrong.sum()} wrong masks'
        blocks[head] = rows
    return blocks


def contact_sheet(args, cfg, dataset, levels, wrong):
    """Predict and draw the images at both ends."""
    blocks = both_ends(levels, args.num, wrong)
    shown = np.concatenate(list(blocks.values()))
    names = [levels.ids[row] for row in shown]
    items = dict(zip(shown, predictions(cfg, args.checkpoint, dataset, names)))
    for row, item in items.items():
        item['alpha'] = levels.alpha[row]
        item['wrong'] = wrong is not None and bool(wrong[row])
    return levels_sheet(
        {head: [items[row] for row in rows] for head, rows in blocks.items()}
    )


def summary(figures):
    """Put the figures into a few lines."""
    shares = figures['quantiles']
    lines = [
        f'{figures["num_images"]} images, mean level {figures["mean"]:.5f}, standard '
        f'deviation {figures["std"]:.5f}',
        'min {min:.5f}, '.format(**figures)
        + ', '.join(f'{float(q):.0%} {value:.5f}' for q, value in shares.items())
        + ', max {max:.5f}'.format(**figures),
    ]
    if figures['min'] == figures['max']:
        lines.append('all levels are equal: they say nothing about the images')
    found = figures.get('wrong_masks')
    if found:
        lines.append(
            '{num_wrong} wrong masks, mean level {mean_wrong:.5f} against '
            '{mean_right:.5f}; low levels find them with AUROC {auroc:.4f} '
            '[{low:.4f}, {high:.4f}]'.format(**found)
        )
    return '\n'.join(lines)


@exit_on_user_error
def main(argv=None):
    """Run the tool."""
    args = parse_args(argv)
    if args.num < 1:
        raise ValueError(f'--num must be 1 or more, not {args.num}')
    cfg = load_config(args.config, args.cfg_options)
    check_checkpoint(args.checkpoint)
    dataset = training_set(cfg)
    levels = read_levels(args.checkpoint, dataset)
    if levels.left_out:
        print(f'{levels.left_out} images of the checkpoint are not in the config')
    wrong = known_wrong(args, dataset, levels)
    sheet = contact_sheet(args, cfg, dataset, levels, wrong)
    figures = level_summary(levels, wrong)
    print(f'\n{summary(figures)}\n')

    out = args.out or osp.join(osp.dirname(osp.abspath(args.checkpoint)), 'levels')
    os.makedirs(out, exist_ok=True)
    for ending in ('png', 'pdf'):
        save_figure(sheet, osp.join(out, f'levels.{ending}'), dpi=150)
    histogram = alpha_histogram(levels.alpha, levels.settings['beta'], zoom=True)
    Image.fromarray(histogram).save(osp.join(out, 'histogram.png'))
    write_level_table(osp.join(out, 'levels.csv'), levels.ids, levels.alpha)
    save_result(osp.join(out, 'levels.json'), figures)
    print(f'contact sheet: {osp.join(out, "levels.png")} (and .pdf)')
    print(f'histogram, table and figures: {out}')


if __name__ == '__main__':
    main()
