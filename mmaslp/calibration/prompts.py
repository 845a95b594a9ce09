"""What IoU to expect of the mask that a prompt gets, as SAM and its kin give it.

A model of this family gives a mask for each prompt, and scores of its own. The first
half of this module is the geometry of the family: logits are cropped to the box of the
prompt, twice as large. The second half decides: a regression of a few features of the
crop and of the model's scores, fitted to the user's masks, and a lower bound by what it
missed out of fold. Prompts of one image are fitted or measured, never both.
"""

import json
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.special import expit
from torch import Tensor

from ..common.arguments import (
    check_array,
    check_bool,
    check_choice,
    check_number,
    check_object,
    check_path,
    group_name,
    numbers_of,
    reading,
)
from ..common.arrays import Map, as_floats, as_tensor, checked
from ..common.inputs import read_file
from ..common.maps import IMAGES, ProbMap
from ..common.outputs import write_output
from .decisions import relative_is_narrower, unit_of_dice, weighted_quantile
from .features import CODES, UNCALIBRATED, count_image, image_features, logit
from .regressions import FOLDS, absolute_losses, fit_linear

__all__ = [
    'PromptEstimates',
    'PromptJudge',
    'PromptTable',
    'crop_to_box',
    'fit_prompts',
]

# Features of a crop; the model's own scores come after them.
CROP_FEATURES = (
    'logit of the expected Dice',
    'logit of the mean probability of the mask',
    'logit of the mean confidence',
    'logit of the stability',
    'log of the share of the box',
    'logit of the IoU of the box and that of the mask',
    'log of the number of objects',
    'logit of the tenth of the probabilities of the mask',
    'logit of the largest probability',
    'logit of the mean probability off the edge',
    'log of the pixels of the mask',
    'log of the squared edge to a pixel',
    'logit of the share of the box that is mask',
    'logit of the share of the largest object',
    'log of the share outside of the box',
)
# The first of these look at probabilities alone.
WITHOUT_SHAPE = 7
# The stability of SAM: IoU of the masks of logits above this and above its negative.
STABILITY = 1.0
# Prompts that a fit needs, and the images that they come from.
LEAST_PROMPTS = 30
LEAST_PROMPT_IMAGES = 10
# Of the logit of a probability, and of a share of pixels.
EDGE = 1e-3
EDGE_OF_SHARE = 1e-2
# Prompts of the fit that are kept.
MOST_PROMPTS = 1000
MAX_BYTES = 2**20
_HEAD = dict(format='mmaslp prompts', version=2)


@dataclass(frozen=True)
class PromptEstimates:
    """What to expect of the masks of N prompts.

    Attributes:
        iou (np.ndarray): ``(N,)`` expected IoU, the median of such masks; 0 of an empty
            mask.
        iou_low (np.ndarray): ``(N,)`` IoU that a share of ``level`` of them reaches.
    """

    iou: np.ndarray
    iou_low: np.ndarray


def crop_to_box(
    values: Tensor, box: np.ndarray, times: float = 2.0
) -> tuple[Tensor, float]:
    """Crop a map ``(H, W)`` to a box, so many times as wide; and give the box's area.

    Args:
        values (Tensor): The map.
        box (np.ndarray): ``(4,)`` left, top, right and bottom, in pixels, as SAM takes
            them.
        times (float): Defaults to 2.
    """
    sides = box[2:] - box[:2]
    margin = sides * (times - 1) / 2
    left, top = np.floor(box[:2] - margin).clip(0).astype(int)
    right, bottom = np.ceil(box[2:] + margin).clip(0).astype(int)
    return values[top:bottom, left:right], float(sides.prod())


def box_overlap(mask: Tensor, box: np.ndarray) -> float:
    """IoU of a box and the box of a mask ``(H, W)`` that is not empty."""
    rows = mask.any(1).nonzero()[:, 0]
    columns = mask.any(0).nonzero()[:, 0]
    first = np.array([int(columns[0]), int(rows[0])])
    last = np.array([int(columns[-1]) + 1, int(rows[-1]) + 1])
    both = np.minimum(last, box[2:]) - np.maximum(first, box[:2])
    shared = float(both.clip(0).prod())
    either = float((last - first).prod() + (box[2:] - box[:2]).prod()) - shared
    return shared / either


def features_of(logits: Tensor, box: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Features of the mask of one prompt ``(H, W)``; nan of an empty mask.

    A mask of less than a thousandth of the crop counts as empty.
    """
    unknown = np.full(len(CROP_FEATURES) + len(scores), np.nan)
    crop, area = crop_to_box(logits, box)
    if not crop.numel() or not (crop > 0).any():
        return unknown
    image, _ = count_image(ProbMap(values=crop.contiguous(), kind=IMAGES, logits=True))
    if not image.num_objects:
        return unknown
    expected, mean, confidence, _ = image_features(image, UNCALIBRATED)

    size = int((crop > 0).sum())
    stability = int((crop > STABILITY).sum()) / int((crop > -STABILITY).sum())
    of_crop = [
        expected,
        mean,
        confidence,
        float(logit(np.array(stability), EDGE)),
        float(np.log(size / area)),
        float(logit(np.array(box_overlap(logits > 0, box)), EDGE)),
        float(np.log(image.num_objects)),
    ]
    sizes = image.sums_of_objects(np.ones(CODES))
    of_shape = _shape_features(logits, crop, box, sizes.max() / size)
    return np.concatenate([of_crop, of_shape, scores])


def _shape_features(
    logits: Tensor, crop: Tensor, box: np.ndarray, share_of_largest: float
) -> list[float]:
    """What the form of a mask that is not empty, and its box, tell."""
    mask = (crop > 0).numpy()
    prob = expit(crop.numpy().astype(float))
    size = mask.sum()
    inner = ndimage.binary_erosion(mask)
    edge = max(1, size - inner.sum())
    core = inner if inner.any() else mask

    in_box, _ = crop_to_box(logits, box, times=1)
    of_box = in_box > 0
    outside = int((logits > 0).sum() - of_box.sum()) / size
    share_of_box = float(of_box.float().mean()) if of_box.numel() else 0.0
    return [
        float(logit(np.quantile(prob[mask], 0.1), EDGE)),
        float(logit(prob.max(), EDGE)),
        float(logit(prob[core].mean(), EDGE)),
        float(np.log(size)),
        float(np.log(edge**2 / size)),
        float(logit(np.array(share_of_box), EDGE_OF_SHARE)),
        float(logit(np.array(share_of_largest), EDGE_OF_SHARE)),
        float(np.log(outside + EDGE_OF_SHARE)),
    ]


def checked_prompts(
    logits: Map, boxes: Any, scores: Any
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Logits ``(N, H, W)``, boxes ``(N, 4)``, scores ``(N, S)``; or ValueError."""
    values = checked(as_floats(logits, logits=True), logits=True).cpu()
    if values.dim() != 4 or values.shape[1] != 1:
        raise ValueError(
            'give the logits of the masks as (N, 1, H, W), a mask for each prompt, not '
            f'{tuple(values.shape)}'
        )
    number = len(values)
    boxes = check_array(
        'boxes (left, top, right, bottom)', _as_array(boxes), (number, 4)
    )
    _check_boxes(boxes, np.array(values.shape[:1:-1]))
    if scores is None:
        scores = np.zeros((number, 0))
    given = _as_array(scores)
    if number:
        given = np.reshape(given, (number, -1))
    given = check_array('scores', given, (number, given.shape[-1]))
    return values[:, 0], boxes, given


def _as_array(values: Any) -> np.ndarray:
    """An array of what a model gives, which may have a gradient or lie on a GPU."""
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def _check_boxes(boxes: np.ndarray, size: np.ndarray) -> None:
    """Refuse boxes that are none, or not in the pixels of a map ``(W, H)``."""
    if not (boxes[:, :2] < boxes[:, 2:]).all():
        raise ValueError('boxes must be left, top, right, bottom, and not be empty')
    if len(boxes) and boxes.max() <= 1 < size.min():
        raise ValueError(
            'boxes are in pixels, and these end at 1: multiply them by width and height'
        )
    inside = (boxes[:, :2] < size) & (boxes[:, 2:] > 0)
    if not inside.all():
        place = int(np.flatnonzero(~inside.all(1))[0])
        raise ValueError(
            f'box {place} lies outside of its map of {size[0]} x {size[1]} pixels: '
            'give boxes and logits at the size of the image'
        )


class PromptTable:
    """Features and true IoU of the masks of prompts, image by image.

    Example:
        >>> import torch
        >>> table = PromptTable()
        >>> logits = torch.full((1, 1, 8, 8), -4.0)
        >>> logits[..., 2:6, 2:6] = 4.0
        >>> table.update(logits, [[2, 2, 6, 6]], logits[:, 0] > 0, 'image 0', [[0.9]])
        >>> table.iou
        [1.0]
    """

    def __init__(self) -> None:
        self.features: list[np.ndarray] = []
        self.iou: list[float] = []
        self.groups: list[Hashable] = []

    def update(
        self,
        logits: Map,
        boxes: Any,
        masks: Map,
        group: Hashable,
        scores: Any = None,
    ) -> None:
        """Add the prompts of one image.

        Args:
            logits (Tensor | np.ndarray): ``(N, 1, H, W)`` of the mask of each prompt,
                at the size of the image.
            boxes (Tensor | np.ndarray): ``(N, 4)`` left, top, right and bottom of each
                prompt, in pixels; of points, the box of the mask.
            masks (Tensor | np.ndarray): ``(N, H, W)`` what each prompt meant, 0 and 1.
            group (Hashable): The image, or the patient or video that it comes from.
            scores (Tensor | np.ndarray, optional): ``(N, S)`` scores of the model, such
                as the predicted IoU. Defaults to None: S = 0.

        Raises:
            ValueError: If these do not belong together.
        """
        values, places, given = checked_prompts(logits, boxes, scores)
        truth = as_tensor(masks, 'masks').cpu()
        if not ((truth == 0) | (truth == 1)).all():
            raise ValueError(
                'masks must be 0 and 1: cut probabilities at 1/2, divide 255 by 255, '
                'and give each object of a map of numbers as a mask of its own'
            )
        truth = truth == 1
        with reading('group must be a name'):
            group = group_name(group)
        if truth.shape != values.shape:
            raise ValueError(
                f'give masks as {tuple(values.shape)}, one for each prompt, not '
                f'{tuple(truth.shape)}'
            )
        self._check_scores(given)

        for row, mask in enumerate(values > 0):
            both = int((mask & truth[row]).sum())
            either = int((mask | truth[row]).sum())
            self.features.append(features_of(values[row], places[row], given[row]))
            iou = 1.0  # of two empty masks
            if either:
                iou = both / either
            self.iou.append(iou)
            self.groups.append(group)

    def _check_scores(self, scores: np.ndarray) -> None:
        """Refuse prompts with fewer or more scores than those before."""
        if not self.features or not len(scores):
            return
        before = len(self.features[0]) - len(CROP_FEATURES)
        if scores.shape[1] != before:
            raise ValueError(
                f'the prompts before have {before} scores of the model each, and these '
                f'have {scores.shape[1]}: give all images the same scores, or none'
            )


@dataclass(frozen=True)
class PromptJudge:
    """Expected IoU of prompts, with a lower bound; :func:`fit_prompts` makes it.

    Attributes:
        chosen (str): What tells the IoU: the 'expected Dice', the 'stability',
            probabilities of the 'mask', 'mask and shape', or these and the 'scores'.
        weights (list[float]): The intercept, then one for each feature.
        expected (list[float]): IoU that was expected of prompts of the fit, out of
            fold; also ``iou``, the true one.
        relative (bool): Whether errors count in what the expected IoU lacks to 1.
        error (float): Mean absolute error of the expected IoU, out of fold.
        images (int): Images of the fit.
    """

    chosen: str
    weights: list[float]
    expected: list[float]
    iou: list[float]
    relative: bool
    error: float
    images: int

    @property
    def num_scores(self) -> int:
        """int: Scores of the model that it takes."""
        return len(self.weights) - 1 - len(CROP_FEATURES)

    def __call__(
        self, logits: Map, boxes: Any, scores: Any = None, level: float = 0.9
    ) -> PromptEstimates:
        """Say what to expect of the masks of one image.

        Args:
            logits (Tensor | np.ndarray): As in :meth:`PromptTable.update`.
            boxes (Tensor | np.ndarray): As there.
            scores (Tensor | np.ndarray, optional): As there and in the fit.
            level (float): Share of the prompts that the bound holds for. Defaults to
                0.9.
        """
        check_number('level', level, above=0, below=1)
        values, places, given = checked_prompts(logits, boxes, scores)
        if len(given) and given.shape[1] != self.num_scores:
            raise ValueError(
                f'the fit had {self.num_scores} scores of the model for each prompt, '
                f'and this gives {given.shape[1]}'
            )
        rows = [features_of(*row) for row in zip(values, places, given)]
        features = np.reshape(rows, (len(values), len(self.weights) - 1))
        return self.estimate(features, level)

    def estimate(self, features: np.ndarray, level: float = 0.9) -> PromptEstimates:
        """As the call, of ``(N, F)`` features that are known."""
        expected = _predicted(self.weights, features)
        fitted = np.array(self.expected)
        has_mask = fitted > 0  # of an empty mask nothing is expected, and no error made
        residuals = (np.array(self.iou) - fitted)[has_mask]
        unit = unit_of_dice(fitted[has_mask], self.relative)
        shift = weighted_quantile(residuals / unit, 1 - level)
        low = expected + shift * unit_of_dice(expected, self.relative)
        return PromptEstimates(expected, np.clip(low, 0, expected))

    def save(self, file: str | Path, overwrite: bool = False) -> None:
        """Write it as JSON; FileExistsError if a file is there already."""
        text = json.dumps(_HEAD | asdict(self), indent=1, allow_nan=False) + '\n'
        write_output(file, text, overwrite)

    @classmethod
    def load(cls, file: str | Path) -> 'PromptJudge':
        """Read what :meth:`save` wrote; ValueError if the file is anything else."""
        text = read_file(check_path('file', file), MAX_BYTES)
        with reading(f'{file} is not what PromptJudge.save wrote'):
            content = check_object('it', json.loads(text))
            for key, value in _HEAD.items():
                check_choice(key, content.pop(key, None), (value,))
            judge = cls(**content)
            check_array('weights', judge.weights, (-1,))
            if judge.num_scores < 0:
                raise ValueError('there are too few weights')
            number = len(check_array('iou', judge.iou, (-1,), low=0, high=1))
            check_array('expected', judge.expected, (number,), low=0, high=1)
            check_bool('relative', judge.relative)
            return judge


def fit_prompts(table: PromptTable) -> PromptJudge:
    """Fit the expected IoU of prompts and its bound to a table of them.

    What is fitted are medians. Five regressions take more and more features: one of
    the mask, its probabilities, its shape, the model's scores. The one of the least
    error for prompts of other images is kept.

    Raises:
        ValueError: If the prompts, or the images that they come from, are too few.
    """
    features = np.array(table.features)
    iou = np.array(table.iou)
    images = list(numbers_of(table.groups))
    number_of_images = len(set(images))
    if len(iou) < LEAST_PROMPTS or number_of_images < LEAST_PROMPT_IMAGES:
        raise ValueError(
            f'{len(iou)} prompts of {number_of_images} images are too few: give '
            f'{LEAST_PROMPTS} of {LEAST_PROMPT_IMAGES} images or, better, of a hundred'
        )

    folds = np.array(images) % FOLDS
    has_mask = ~np.isnan(features[:, 0])  # an empty mask tells nothing
    if len(np.unique(folds[has_mask])) < 2:
        raise ValueError('nearly all masks are empty: give logits, not masks')

    candidates = _candidates(features.shape[1])
    by_candidate = {}
    errors = {}
    for name, columns in candidates.items():
        values = _out_of_fold(features, iou, folds, columns)
        by_candidate[name] = values
        errors[name] = float(np.abs(values - iou).mean())

    chosen = min(errors, key=errors.__getitem__)
    expected = by_candidate[chosen]
    kept = np.unique(np.linspace(0, len(iou) - 1, MOST_PROMPTS).astype(int))
    return PromptJudge(
        chosen=chosen,
        weights=_fitted(features[has_mask], iou[has_mask], candidates[chosen]),
        expected=expected[kept].round(5).tolist(),
        iou=iou[kept].round(5).tolist(),
        relative=relative_is_narrower(expected[has_mask], iou[has_mask]),
        error=errors[chosen],
        images=number_of_images,
    )


def _out_of_fold(
    features: np.ndarray, iou: np.ndarray, folds: np.ndarray, columns: list[int]
) -> np.ndarray:
    """``(N,)`` expected IoU of each prompt, by a fit to those of the other folds."""
    has_mask = ~np.isnan(features[:, 0])
    expected = np.zeros(len(iou))
    for fold in range(FOLDS):
        in_fold = folds == fold
        rest = ~in_fold & has_mask
        weights = _fitted(features[rest], iou[rest], columns)
        expected[in_fold] = _predicted(weights, features[in_fold])
    return expected


def _candidates(number: int) -> dict[str, list[int]]:
    """Columns of the features that each candidate takes, the simplest first."""
    return {
        'expected Dice': [0],
        'stability': [CROP_FEATURES.index('logit of the stability')],
        'mask': list(range(WITHOUT_SHAPE)),
        'mask and shape': list(range(len(CROP_FEATURES))),
        'scores': list(range(number)),
    }


def _fitted(features: np.ndarray, iou: np.ndarray, columns: list[int]) -> list[float]:
    """The intercept and a slope for each feature, 0 of those that are not taken."""
    target = logit(2 * iou / (1 + iou), 0.005)  # Dice, whose logit is a feature
    like = None
    if columns[0] == 0:
        like = 0
    fitted = fit_linear(features[:, columns], target, absolute_losses, like)
    weights = np.zeros(1 + features.shape[1])
    weights[0] = fitted[0]
    weights[1 + np.array(columns)] = fitted[1:]
    return weights.tolist()


def _predicted(weights: list[float], features: np.ndarray) -> np.ndarray:
    """``(N,)`` expected IoU of ``(N, F)`` features, 0 of those that are nan."""
    score = weights[0] + features @ np.array(weights[1:])
    dice = expit(np.where(np.isnan(score), -np.inf, score))
    return dice / (2 - dice)
