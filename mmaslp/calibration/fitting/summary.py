"""What a fit says of itself, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...common.options import FEW_CASES
from ..curves import SIDE
from ..decisions import LEAST_EMPTY, Decisions
from ..features import IMAGE_FEATURES, OBJECT_FEATURES

_TITLES = dict(ece='ECE', ece_band='ECE by band', brier='Brier score', nll='NLL')
_MASKS = dict(
    keep='masks of the network',
    accuracy='calibrated probability above 1/2',
    dice='mask of the largest expected Dice',
)


@dataclass(frozen=True)
class PixelFacts:
    """What may make a fit doubtful.

    Attributes:
        target (str): That of the calibrator.
        cases (int): Number of images, volumes or groups.
        foreground (float): Share of foreground among the pixels.
        correct (float): Share of right decisions p > 1/2.
    """

    target: str
    cases: int
    foreground: float
    correct: float

    @classmethod
    def of(cls, counts: np.ndarray, cases: int, target: str) -> 'PixelFacts':
        """Facts of ``(G, B, CELLS, 2)`` counts of pixels."""
        right_below = counts[..., : SIDE + 1, 0].sum()
        right_above = counts[..., SIDE + 1 :, 1].sum()
        return cls(
            target=target,
            cases=cases,
            foreground=counts[..., 1].sum() / counts.sum(),
            correct=(right_below + right_above) / counts.sum(),
        )

    def remarks(self) -> list[str]:
        """Say what is doubtful."""
        remarks = []
        if self.target == 'probability':
            remarks.append(
                'Its probabilities are right for images in which objects fill about '
                f'{self.foreground:.0%} of the pixels, as here.'
            )
        if self.correct <= max(self.foreground, 1 - self.foreground):
            remarks.append(
                f'Decisions are right for {self.correct:.1%} of the pixels, no more '
                'than without a network: check that foreground is 1 in maps and masks, '
                'and that maps have one sigmoid and the right scale.'
            )
        if self.cases < FEW_CASES:
            remarks.append(
                f'{self.cases} images or groups are few. The intervals may be too '
                'narrow, so do not rely on them, and fit to more images.'
            )
        return remarks


def summarize(
    kind: tuple[str, str, str],
    reason: str,
    record: dict[str, Any],
    decisions: Decisions | None,
    remarks: Sequence[str],
) -> str:
    """Write the choice, the reason, the table of candidates and the remarks."""
    method, by, target = kind
    where = 'for all pixels'
    if by == 'band':
        where = 'by band'
    masks = 'may move'
    if target == 'confidence':
        masks = 'stay the same'

    lines = [
        f'{method} {where}; masks {masks}.',
        reason,
        *remarks,
        'Measured on images that the curve was not fitted to: '
        f'{cases_in_words(record["images"], record["groups"], record["axes"])}, '
        f'{record["pixels"]:,} pixels.',
        'Lower is better; in brackets the 95 % interval of the change from '
        'identity; > is the choice.',
        'single: one curve for all pixels; band: one for each band of distance from '
        'the border.',
        ' ' * 22 + ''.join(f'{title:<26}' for title in _TITLES.values()).rstrip(),
        *(_line(row) for row in record['candidates']),
    ]
    if decisions is not None:
        lines += decisions_in_words(decisions)
    return '\n'.join(lines)


def cases_in_words(images: int, cases: int, axes: int | None) -> str:
    """Say how many images there are, and of how many groups if they are fewer."""
    word = 'image'
    if axes == 3:
        word = 'volume'
    number = f'{images} {word}s'
    if images == 1:
        number = f'1 {word}'
    if cases < images:
        number += f' of {cases} groups'
    return number


def _line(row: dict[str, Any]) -> str:
    mark = ' '
    if row['chosen']:
        mark = '>'
    line = f'{mark} {row["method"]:<12}{row["by"]:<8}'
    for key in _TITLES:
        low, high = row[f'{key}_change']
        change = ''
        if low or high:
            change = f'[{low:+.4f}, {high:+.4f}]'
        line += f'{row[key]:.4f} {change:<19}'
    return line.rstrip()


# Least probabilities of an object whose costs are shown.
_CUTS_SHOWN = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
_OBJECTS = {
    'uncalibrated': 'the mean probability as it is',
    'drawn': 'the mean probability, corrected as far as few objects tell',
    'logistic': 'a logistic regression of the mean probability',
    'mean': 'a logistic regression of the mean probability as it is, in its order',
    'features': f'a logistic regression of {len(OBJECT_FEATURES) - 1} features',
}
_IMAGES = {
    'uncalibrated': 'the probabilities as they are',
    'calibrated': 'the calibrated probabilities',
    'regression': f'a regression of {len(IMAGE_FEATURES)} features',
}


def decisions_in_words(decisions: Decisions) -> list[str]:
    """Say what was learned of objects and images, and what was not."""
    return [
        *_objects_in_words(decisions),
        _images_in_words(decisions),
        _masks_in_words(decisions),
        _areas_in_words(decisions),
        _empty_masks_in_words(decisions),
        *_crops_in_words(decisions),
    ]


def _objects_in_words(decisions: Decisions) -> list[str]:
    objects = decisions.record['objects']
    number = f'{objects["number"]} objects, {objects["real"]} of them real'
    if decisions.objects is None:
        return [f'Objects: {number}. That is not enough to judge which are real.']

    lines = [
        f'Objects: {number}. Whether one is real: {_OBJECTS[objects["chosen"]]} '
        f'({_against(objects, "nll", "NLL")}).',
        'If objects below a threshold are left out, on images that it was not fitted '
        'to:',
        '  threshold           real objects kept   false objects per image    Dice',
    ]
    for cut, kept, false, dice in decisions.cuts:
        if cut in _CUTS_SHOWN:
            lines.append(f'  {cut:<20.2f}{kept:<20.3f}{false:<27.2f}{dice:.4f}')
    return lines


def _images_in_words(decisions: Decisions) -> str:
    images = decisions.record['images']
    number = f'{images["with_mask"]} images with an object found'
    if decisions.image is not None:
        return (
            f'Images: {number}. Expected Dice: {_IMAGES[images["chosen"]]} '
            f'({_against(images, "error", "mean error")}).'
        )

    below = images.get('below', 0.0)
    if below:
        return (
            f'Images: {number}, but two confident ones are {below:.2f} below their '
            'expected Dice: no Dice is given.'
        )
    return f'Images: {number}: too few to estimate the Dice of an image.'


def _masks_in_words(decisions: Decisions) -> str:
    masks = decisions.record['masks']
    best = max(masks, key=masks.__getitem__)
    dice = ', '.join(f'{_MASKS[name]} {value:.4f}' for name, value in masks.items())
    return f'Mean Dice: {dice}. The best masks are those of {best!r}.'


def _areas_in_words(decisions: Decisions) -> str:
    line = f'Areas: by {decisions.area_from} probabilities'
    # A quantile of .95 takes the largest of 19 errors, of .9 that of nine.
    if len(decisions.features) < 19:
        line += '; an interval of 90 % needs 19 images, of 80 % nine'
    return f'{line}.'


def _empty_masks_in_words(decisions: Decisions) -> str:
    empty, nothing = decisions.empty
    line = (
        f'Empty masks: in {empty} images the network found nothing, and in {nothing} '
        'of them there is nothing.'
    )
    if empty < LEAST_EMPTY:
        line += ' That is too few to judge empty masks.'
    return line


def _crops_in_words(decisions: Decisions) -> list[str]:
    crops = decisions.record.get('negative_crops')
    if not crops:
        return []

    advice = 'negative crops in the training would not change that'
    # From this share on such crops pay: docs/windows.md has the measurements.
    if crops['found'] >= 0.05 * crops['number']:
        advice = 'train with ObjectFreeCrop to change that (docs/windows.md)'
    return [
        f'Crops without an object: {crops["number"]}, something is found in '
        f'{crops["found"]} of them; {advice}.'
    ]


def _against(record: dict[str, Any], key: str, title: str) -> str:
    values = record[key]
    chosen = values[record['chosen']]
    return f'{title} {chosen:.3f}; uncalibrated {values["uncalibrated"]:.3f}'
