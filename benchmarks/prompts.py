"""Expected IoU of the mask that a prompt gets, and its lower bound.

    python benchmarks/prompts.py --runs RUNS --maps MAPS --json OUT.json

No network with prompts and weights of a few megabytes is in the Python index. So masks
of published and of trained networks are cut by prompts: the prompt is the box of a true
object, each side moved by up to a tenth, and the mask is what the network finds
in that box, a tenth larger. The model's own score is the mean probability of its mask,
as detectors and Mask2Former score one, or the stability of SAM, whichever a straight
line makes the better: the line is fitted to the same prompts, by absolute errors.

All is fitted to prompts of validation images, and measured on those of test images.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from common import of_folder, of_run
from scipy import ndimage
from scipy.special import logit

from mmaslp.calibration.prompts import PromptJudge, PromptTable, fit_prompts
from mmaslp.calibration.regressions import absolute_losses, fit_linear

LEAST_AREA, MOST_OF_AN_IMAGE = 30, 12
MEAN, STABILITY = 1, 3  # columns of the features that score a mask by themselves


def table_of(pairs: list, seed: int) -> PromptTable:
    """Prompts of all images of a set."""
    rng = np.random.default_rng(seed)
    table = PromptTable()
    for number, (prob, label) in enumerate(pairs):
        logits = logit(np.clip(prob, 1e-6, 1 - 1e-6)).astype(np.float32)
        objects, _ = ndimage.label(label == 1)
        areas = np.bincount(objects.ravel())
        large = np.flatnonzero(areas[1:] >= LEAST_AREA) + 1
        boxes = []
        maps = []
        truths = []
        for name in large[:MOST_OF_AN_IMAGE]:
            rows, columns = ndimage.find_objects((objects == name).astype(int))[0]
            sides = np.array([columns.start, rows.start, columns.stop, rows.stop])
            width, height = sides[2:] - sides[:2]
            shift = rng.uniform(-0.1, 0.1, 4) * [width, height, width, height]
            box = np.clip(sides + shift, 0, [*label.shape[::-1]] * 2)
            margin = 0.1 * np.array([-width, -height, width, height])
            left, top, right, bottom = np.round(box + margin).clip(0).astype(int)
            mask = np.minimum(logits, -4)
            mask[top:bottom, left:right] = logits[top:bottom, left:right]
            boxes.append(box)
            maps.append(mask)
            truths.append(objects == name)
        if boxes:
            table.update(np.stack(maps)[:, None], boxes, np.stack(truths), number)
    return table


def line_error(fitted: PromptTable, new: PromptTable, column: int) -> float:
    """Mean absolute error of a straight line of one score."""
    scores = [
        torch.nan_to_num(torch.tensor(np.array(table.features)[:, [column]]), -7)
        .sigmoid()
        .numpy()
        for table in (fitted, new)
    ]
    intercept, slope = fit_linear(scores[0], np.array(fitted.iou), absolute_losses)
    found = np.clip(intercept + slope * scores[1][:, 0], 0, 1)
    return float(np.abs(found - new.iou).mean())


def row_of(judge: PromptJudge, fitted: PromptTable, new: PromptTable) -> dict:
    """Errors and the share that the bound holds for."""
    iou = np.array(new.iou)
    estimates = judge.estimate(np.array(new.features))
    error = float(np.abs(estimates.iou - iou).mean())
    lines = {
        name: line_error(fitted, new, column)
        for name, column in (('mean', MEAN), ('stability', STABILITY))
    }
    return dict(
        chosen=judge.chosen,
        prompts=[len(fitted.iou), len(iou)],
        images=[judge.images, len(set(new.groups))],
        mean_iou=round(float(iou.mean()), 4),
        error=round(error, 4),
        line_of_mean=round(lines['mean'], 4),
        line_of_stability=round(lines['stability'], 4),
        ratio=round(error / min(lines.values()), 3),
        held=round(float((iou >= estimates.iou_low).mean()), 3),
        width=round(float((estimates.iou - estimates.iou_low).mean()), 3),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=Path, nargs='*', default=[])
    parser.add_argument('--maps', type=Path, nargs='*', default=[])
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for path in [*args.runs, *args.maps]:
        is_run = path.suffix == '.npz'
        sets = of_run(path) if is_run else of_folder(path)
        name = '/'.join(path.parts[-4:-1]) if is_run else path.name
        fitted = table_of(sets['val'], 0)
        new = table_of(sets['test'], 1)
        rows[name] = row_of(fit_prompts(fitted), fitted, new)
        print(name, rows[name], flush=True)
        args.json.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
