"""The levels of a trained run: contact sheet, histogram, table, summary."""

import os.path as osp
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config

from ..datasets.listing import data_folders
from ..evaluation.results import save_result
from ..utils.level_table import write_level_table
from ..utils.outputs import check_folder, check_kind
from ..utils.pictures import write_picture
from ..utils.safe_loading import safe_loading
from ..visualization.alpha import alpha_histogram
from ..visualization.levels import levels_sheet
from ..visualization.reliability import save_figure
from .config import check_checkpoint
from .levels import (
    Levels,
    find_manifest,
    level_summary,
    predictions,
    read_levels,
    training_set,
    wrong_images,
)

__all__ = ['LevelReport', 'describe_summary', 'show_levels']

# What is written, and the kind of each file.
_FILES = {
    'levels.png': 'diagram',
    'levels.pdf': 'diagram',
    'histogram.png': 'picture',
    'levels.csv': 'levels',
    'levels.json': 'result',
}


@dataclass
class LevelReport:
    """The result of :func:`show_levels`.

    Attributes:
        folder (str): Where ``levels.png``, ``levels.pdf``, ``histogram.png``,
            ``levels.csv`` and ``levels.json`` lie.
        summary (dict): See :func:`~mmaslp.apis.levels.level_summary`.
    """

    folder: str
    summary: dict[str, Any]


def show_levels(
    cfg: Config,
    checkpoint: str,
    *,
    out: str | None = None,
    num: int = 12,
    wrong: str | None = None,
    trust_checkpoint: bool = False,
    report: Callable[[str], None] = print,
) -> LevelReport:
    """Show images with low and high levels, and how well low ones find wrong masks.

    Args:
        cfg (Config): Config of the run.
        checkpoint (str): A checkpoint that the training wrote.
        out (str, optional): Folder to write to. Defaults to None: ``levels`` beside the
            checkpoint.
        num (int): Images at each end, >= 1. Defaults to 12.
        wrong (str, optional): File that names the images whose mask is known to be
            wrong, see :func:`~mmaslp.apis.levels.wrong_images`. Defaults to None: the
            list of the built-in data, if the run was trained on it.
        trust_checkpoint (bool): Accept a checkpoint whose pickle can run code. Defaults
            to False.
        report (Callable[[str], None]): Receives lines about problems. Defaults to
            ``print``.

    Raises:
        FileNotFoundError: The checkpoint or file does not exist.
        ValueError: ``num`` is below 1, the checkpoint is damaged, asks for code or
            holds no levels of these images, the file of wrong masks does not fit, or
            ``out`` has images of the training set or other files of these names.
        OSError: A file cannot be written; names it.
    """
    if num < 1:
        raise ValueError(f'--num must be 1 or more, not {num}')
    check_checkpoint(checkpoint, trust_checkpoint)
    dataset = training_set(cfg)
    out = out or osp.join(osp.dirname(osp.abspath(checkpoint)), 'levels')
    check_folder(out, data_folders(dataset), '--out')
    for name, kind in _FILES.items():
        check_kind(osp.join(out, name), kind, '--out')
    with safe_loading(trust_checkpoint):
        return _show_levels(cfg, checkpoint, dataset, out, num, wrong, report)


def _show_levels(
    cfg: Config,
    checkpoint: str,
    dataset: Any,
    out: str,
    num: int,
    wrong: str | None,
    report: Callable[[str], None],
) -> LevelReport:
    levels = read_levels(checkpoint, dataset)
    if levels.left_out:
        report(f'{levels.left_out} images of the checkpoint are not in the config')
    known = _known_wrong(wrong, dataset, levels, report)
    sheet = _contact_sheet(cfg, checkpoint, dataset, levels, num, known)
    summary = level_summary(levels, known)
    for ending in ('png', 'pdf'):
        save_figure(sheet, osp.join(out, f'levels.{ending}'), dpi=150)
    histogram = alpha_histogram(levels.alpha, levels.settings['beta'], zoom=True)
    write_picture(osp.join(out, 'histogram.png'), histogram)
    write_level_table(osp.join(out, 'levels.csv'), levels.ids, levels.alpha)
    save_result(osp.join(out, 'levels.json'), summary)
    return LevelReport(out, summary)


def describe_summary(summary: dict[str, Any]) -> str:
    """Describe a summary in a few lines.

    Args:
        summary (dict): See :func:`~mmaslp.apis.levels.level_summary`.
    """
    shares = summary['quantiles']
    lines = [
        f'{summary["num_images"]} images, mean level {summary["mean"]:.5f}, standard '
        f'deviation {summary["std"]:.5f}',
        'min {min:.5f}, '.format(**summary)
        + ', '.join(f'{float(q):.0%} {value:.5f}' for q, value in shares.items())
        + ', max {max:.5f}'.format(**summary),
    ]
    if summary['min'] == summary['max']:
        lines.append('all levels are equal: they say nothing about the images')
    found = summary.get('wrong_masks')
    if found:
        lines.append(
            '{num_wrong} wrong masks, mean level {mean_wrong:.5f} against '
            '{mean_right:.5f}; low levels find them with AUROC {auroc:.4f} '
            '[{low:.4f}, {high:.4f}]'.format(**found)
        )
    return '\n'.join(lines)


def _known_wrong(
    path: str | None, dataset: Any, levels: Levels, report: Callable[[str], None]
) -> np.ndarray | None:
    """Return which masks are known to be wrong, ``(N,)`` bool; None if unknown."""
    if path:
        return wrong_images(path, levels.ids)[0]
    manifest = find_manifest(dataset)
    if manifest is None:
        return None
    wrong, left_out = wrong_images(manifest, levels.ids, complete=False)
    if left_out:
        report(f'{left_out} wrong masks of {manifest} are not in the config')
    return wrong


def _both_ends(
    alpha: np.ndarray, num: int, wrong: np.ndarray | None
) -> dict[str, np.ndarray]:
    """From headline to rows of the images, the most extreme level first."""
    num = min(num, len(alpha) // 2)
    order = np.argsort(alpha, kind='stable')
    ends = {'lowest': order[:num], 'highest': order[::-1][:num]}
    blocks = {}
    for name, rows in ends.items():
        head = f'The {num} {name} of {len(order)} levels'
        if wrong is not None:
            head += f', with {wrong[rows].sum()} of {wrong.sum()} wrong masks'
        blocks[head] = rows
    return blocks


def _contact_sheet(
    cfg: Config,
    checkpoint: str,
    dataset: Any,
    levels: Levels,
    num: int,
    wrong: np.ndarray | None,
) -> Any:
    """Predict and draw the images at both ends."""
    blocks = _both_ends(levels.alpha, num, wrong)
    shown = np.concatenate(list(blocks.values()))
    names = [levels.ids[row] for row in shown]
    items = dict(zip(shown, predictions(cfg, checkpoint, dataset, names)))
    for row, item in items.items():
        item['alpha'] = levels.alpha[row]
        item['wrong'] = wrong is not None and bool(wrong[row])
    return levels_sheet(
        {head: [items[row] for row in rows] for head, rows in blocks.items()}
    )
