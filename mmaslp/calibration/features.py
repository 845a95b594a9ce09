"""What an image holds, and features of it and of its objects.

Every feature of an image or an object is a sum over counts of its pixels, by band and
cell of p. So a calibrator can be fitted anew in each fold without reading an image
twice. A code is a band of distance from the border of the mask p > 1/2, times
``CELLS``, plus a cell of the logit, see :mod:`~mmaslp.calibration.curves`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import special

from ..common.arrays import ROUNDING
from ..common.bands import NUM_BANDS, border_bands
from ..common.maps import ProbMap
from ..metrics.objects import find_objects
from .curves import CELLS, CENTRES, SIDE, Curve, as_logits, cell_numbers, evaluate
from .masks import MASK_KIND

CODES = NUM_BANDS * CELLS
# A pixel has label 0, label 1 or none (IGNORED_PIXEL). The fourth kind never occurs: a
# key, a code times KINDS plus the kind, is then divided by a power of two.
KINDS = 4
KEYS = CODES * KINDS
_UNUSED = 3
# Objects up to which a look at every code of each takes less time than sorting pixels.
MOST_LOOKED_AT = 40


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image or volume with K codes and O objects.

    An object is a connected component of the mask p > 1/2, connected by faces. The
    counts take at most 41 KB an image and 26 KB an object.

    Attributes:
        group (int): Images of one group are fitted or measured, never both.
        codes (np.ndarray): ``(K,)`` codes of the pixels, ascending.
        counts (np.ndarray): ``(K, 3)`` pixels of label 0, of label 1, and ignored.
        owners (np.ndarray): ``(E,)`` which object each entry of the next two is of.
        object_codes (np.ndarray): ``(E,)`` codes of the pixels of objects.
        object_counts (np.ndarray): ``(E, 3)`` as ``counts``.
        num_objects (int): O.
        key (int | None): Number of the patient, video or place that it is of, or its
            own; groups join some where there are many. None: not known.
    """

    group: int
    codes: np.ndarray
    counts: np.ndarray
    owners: np.ndarray
    object_codes: np.ndarray
    object_counts: np.ndarray
    num_objects: int
    key: int | None = None

    @cached_property
    def pixels(self) -> np.ndarray:
        """``(K,)`` all pixels by code, also those that are ignored."""
        return self.labelled + self.counts[:, 2]

    @cached_property
    def labelled(self) -> np.ndarray:
        """``(K,)`` pixels by code that are not ignored."""
        return self.counts[:, 0] + self.counts[:, 1]

    @cached_property
    def foreground(self) -> int:
        """int: Pixels of label 1."""
        return int(self.counts[:, 1].sum())

    @cached_property
    def in_mask(self) -> np.ndarray:
        """``(K,)`` whether the pixels of a code lie in the mask p > 1/2."""
        return self.codes % CELLS > SIDE

    @property
    def labels(self) -> np.ndarray:
        """``(NUM_BANDS, CELLS, 2)`` int64 pixels of both labels."""
        whole = np.zeros((CODES, 2), np.int64)
        whole[self.codes] = self.counts[:, :2]
        return whole.reshape(NUM_BANDS, CELLS, 2)

    def sums_of_objects(self, values: np.ndarray) -> np.ndarray:
        """``(O,)`` sum over the pixels of each object of ``(CODES,)`` values."""
        sums = values[self.object_codes] * self.object_counts.sum(1)
        return np.bincount(self.owners, sums, self.num_objects)

    def labels_of_objects(self) -> np.ndarray:
        """``(O, 2)`` pixels of both labels of each object."""
        labels = np.zeros((self.num_objects, 2))
        np.add.at(labels, self.owners, self.object_counts[:, :2])
        return labels


@dataclass(frozen=True)
class CodedPixels:
    """The pixels of a map ``(M, H, W)`` by code and kind.

    Attributes:
        keys (np.ndarray): ``(P,)`` int16 of the P pixels in the mask, see :data:`KEYS`.
        mask (np.ndarray): ``(M, H, W)`` the mask p > 1/2.
        counts (np.ndarray): ``(CODES, KINDS)`` pixels of all the map.
    """

    keys: np.ndarray
    mask: np.ndarray
    counts: np.ndarray


def count_image(given: ProbMap, group: int = 0) -> tuple[ImageCounts, np.ndarray]:
    """Count a map, also by its labels if it has some, and number its objects.

    The numbers of the objects have the shape of the map.
    """
    pixels = count_pixels(given)
    mask = pixels.mask
    labels, number = find_objects(mask.reshape(given.values.shape))
    owner = labels.reshape(mask.shape)[mask]  # few pixels of a volume are in its mask
    entries, object_counts = _count_objects(pixels.keys, owner, number)
    owners, object_codes = np.divmod(entries, CODES)
    codes = filled_rows(pixels.counts)

    image = ImageCounts(
        group=group,
        codes=codes,
        counts=pixels.counts[codes, :_UNUSED],
        owners=owners,
        object_codes=object_codes,
        object_counts=object_counts[:, :_UNUSED],
        num_objects=number,
    )
    return image, labels


def _count_objects(
    keys: np.ndarray, owner: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of objects by code and kind.

    Args:
        keys (np.ndarray): ``(P,)`` of pixels in the mask, see :data:`KEYS`.
        owner (np.ndarray): ``(P,)`` object of each, from 1; 0 is none.
        number (int): Number of objects, O.

    Returns:
        tuple[np.ndarray, np.ndarray]: ``(E,)`` ascending numbers of objects, from 0,
        times ``CODES``, plus a code that the object has; and ``(E, KINDS)`` its pixels.
    """
    in_object = owner > 0
    numbers = owner[in_object].astype(np.int64) - 1
    keys_of_objects = numbers * KEYS + keys[in_object]
    if number <= MOST_LOOKED_AT:
        by_key = np.bincount(keys_of_objects, minlength=KEYS * number)
        by_code = by_key.reshape(-1, KINDS)
        entries = filled_rows(by_code)
        return entries, by_code[entries]

    different, times = np.unique(keys_of_objects, return_counts=True)
    entries, row = np.unique(different // KINDS, return_inverse=True)
    counts = np.zeros((len(entries), KINDS), np.int64)
    counts[row, different % KINDS] = times
    return entries, counts


def filled_rows(counts: np.ndarray) -> np.ndarray:
    """Which rows of ``(K, 3)`` or ``(K, KINDS)`` counts hold anything.

    ``any(1)`` takes ten times as long.
    """
    return np.flatnonzero(counts[:, 0] | counts[:, 1] | counts[:, 2])


def count_pixels(given: ProbMap) -> CodedPixels:
    """Code every pixel of a map by band, cell and kind, and count. No label is a 0."""
    values = given.planes
    kinds = given.pixel_kinds()
    keys_in_mask = []
    mask = np.empty(values.shape, bool)
    counts = torch.zeros(KEYS, dtype=torch.int64)

    # Slice by slice, to bound the memory.
    step = max(1, 2**18 // max(1, values[0].numel()))
    for start in range(0, len(values), step):
        some = slice(start, start + step)
        logit = values[some]
        if not given.logits:
            logit = as_logits(logit)
        inside = logit > 0
        code = border_bands(inside).int().mul_(CELLS).add_(cell_numbers(logit))
        key = code.mul_(KINDS)
        if kinds is not None:
            key.add_(kinds[some])
        counts += torch.bincount(key.flatten(), minlength=KEYS).cpu()
        mask[some] = inside.cpu()
        # By numpy, which selects five times as fast.
        keys_in_mask.append(key.short().cpu().numpy()[mask[some]])
    return CodedPixels(
        keys=np.concatenate(keys_in_mask),
        mask=mask,
        counts=counts.view(-1, KINDS).numpy(),
    )


OBJECT_FEATURES = (
    'logit of the mean probability',
    'logit of the largest probability',
    'log of the share of the image',
    'deepest band',
    'log of the share of all objects',
    'log of the number of objects',
    'logit of the uncalibrated mean probability',
)
IMAGE_FEATURES = (
    'logit of the expected Dice',
    'logit of the mean probability of the mask',
    'logit of the mean confidence',
    'logit of the uncalibrated expected Dice',
)
# Units of the error of an area: the pixels of the image, or those that are expected on
# the wrong side.
UNITS = ('image', 'doubt')
# Edges of the bins of logits that a map is described by.
LOGIT_EDGES = (-6, -4, -2, 0, 2, 4, 6)


@dataclass(frozen=True)
class DomainFeature:
    """A feature of a whole map, which needs no calibrator.

    Attributes:
        title (str): What it is called.
        scale (str): Sets are compared by 'logit' or 'log1p' of it, or by 'log' of a
            share that may be 0.
        largest (float): More is refused in a file. Defaults to that of a share.
        limits_range (bool): Whether it says if one image is within the range of the
            fit. Defaults to False.
        weights (bool): Whether it weights the images of the fit. Defaults to False.
    """

    title: str
    scale: str
    largest: float = 1 + ROUNDING
    limits_range: bool = False
    weights: bool = False


def _share(title: str) -> DomainFeature:
    return DomainFeature(title, 'logit', limits_range=True, weights=True)


def _share_of_logits(title: str) -> DomainFeature:
    return DomainFeature(f'share of logits {title}', 'log')


# In the order of their columns.
_DOMAIN = (
    _share('Soft Dice Confidence'),
    _share('uncertainty of as many pixels as the mask has'),
    _share('share of the mask'),
    _share('mean probability'),
    _share('share of unsure pixels'),
    _share('mean confidence'),
    DomainFeature('objects', 'log1p', largest=1e9, limits_range=True, weights=True),
    DomainFeature('share of pixels at the border', 'log1p', weights=True),
    DomainFeature(
        'spread of the logits at the border', 'log1p', largest=20, weights=True
    ),
    _share_of_logits('below -6'),
    *(_share_of_logits(f'from {low} to {low + 2}') for low in LOGIT_EDGES[:-1]),
    _share_of_logits('above 6'),
)
DOMAIN_FEATURES = tuple(feature.title for feature in _DOMAIN)
LARGEST_FEATURES = [feature.largest for feature in _DOMAIN]
# Columns of those that say whether one image is within the range of the fit, and of
# those that weight its images; all tell sets apart.
RANGE_FEATURES = [k for k, feature in enumerate(_DOMAIN) if feature.limits_range]
WEIGHT_FEATURES = [k for k, feature in enumerate(_DOMAIN) if feature.weights]
_MASK_SHARE = DOMAIN_FEATURES.index('share of the mask')
_SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'logit': lambda values: logit(values, 1e-5),
    'log1p': np.log1p,
    'log': lambda values: np.log(values + 1e-4),
}
UNCALIBRATED = np.tile(special.expit(CENTRES), NUM_BANDS)
_BAND_OF_CODE = np.repeat(np.arange(NUM_BANDS), CELLS)
_BIN_OF_CODE = np.tile(np.digitize(CENTRES, LOGIT_EDGES), NUM_BANDS)


def logit(values: np.ndarray, edge: float = 1e-6) -> np.ndarray:
    """Logits of probabilities, which stay so far from 0 and 1."""
    return special.logit(np.clip(values, edge, 1 - edge))


def probabilities(curves: Sequence[Curve]) -> np.ndarray:
    """``(CODES,)`` calibrated probability of each code, by curves of a target."""
    return special.expit(evaluate(curves, CENTRES, MASK_KIND[-1])).ravel()


def expected_dice(image: ImageCounts, prob: np.ndarray) -> float:
    r"""Soft Dice Confidence, :math:`2 \sum_{mask} p / (|mask| + \sum p)`; nan if empty.

    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    mass = image.pixels * prob[image.codes]
    size = image.pixels[image.in_mask].sum()
    if not size:
        return np.nan
    return float(2 * mass[image.in_mask].sum() / (size + mass.sum()))


def object_features(image: ImageCounts, prob: np.ndarray) -> np.ndarray:
    """``(O, 7)`` features of objects, see :data:`OBJECT_FEATURES`."""
    number = image.num_objects
    area = image.sums_of_objects(np.ones(CODES))
    largest = np.zeros(number)
    deepest = np.zeros(number)
    np.maximum.at(largest, image.owners, prob[image.object_codes])
    np.maximum.at(deepest, image.owners, _BAND_OF_CODE[image.object_codes])

    columns = [
        logit(image.sums_of_objects(prob) / area),
        logit(largest),
        np.log(area / image.pixels.sum()),
        deepest,
        np.log(area / area.sum()),
        np.full(number, np.log(max(1, number))),
        logit(image.sums_of_objects(UNCALIBRATED) / area),
    ]
    return np.stack(columns, 1)


def image_features(image: ImageCounts, prob: np.ndarray) -> np.ndarray:
    """``(4,)`` features of an image with a mask, see :data:`IMAGE_FEATURES`."""
    pixels = image.pixels
    mask = image.in_mask
    mass = pixels * prob[image.codes]
    values = [
        expected_dice(image, prob),
        mass[mask].sum() / pixels[mask].sum(),
        accuracy_of(image, prob),
        expected_dice(image, UNCALIBRATED),
    ]
    return logit(np.array(values), 1e-4)


def true_dice(image: ImageCounts, inside: np.ndarray | None = None) -> float:
    """Dice of a mask of codes, by default p > 1/2, over pixels that are not ignored.

    It is 1 if nothing is there and nothing is found.
    """
    if inside is None:
        inside = image.in_mask
    size = image.labelled[inside].sum() + image.foreground
    if not size:
        return 1.0
    return float(2 * image.counts[inside, 1].sum() / size)


def accuracy_of(image: ImageCounts, prob: np.ndarray, valid: bool = False) -> float:
    """Expected share of right pixels of the mask p > 1/2; nan without pixels."""
    pixels = image.pixels
    if valid:
        pixels = image.labelled
    of_codes = prob[image.codes]
    right = pixels * np.where(image.in_mask, of_codes, 1 - of_codes)
    if not pixels.any():
        return np.nan
    return float(right.sum() / pixels.sum())


def true_accuracy(image: ImageCounts) -> float:
    """Share of right pixels among those that are not ignored; nan without any."""
    right = np.where(image.in_mask, image.counts[:, 1], image.counts[:, 0])
    if not image.labelled.any():
        return np.nan
    return float(right.sum() / image.labelled.sum())


def domain_features(image: ImageCounts) -> list[float]:
    """Say what kind of map it is, by :data:`DOMAIN_FEATURES`, without a calibrator."""
    prob = UNCALIBRATED[image.codes]
    pixels = image.pixels
    total = pixels.sum()
    size = pixels[image.in_mask].sum()
    dice = 0.5
    if size:
        dice = expected_dice(image, UNCALIBRATED)

    # Noise makes a border longer, blur makes it shorter and its logits alike.
    at_border = _BAND_OF_CODE[image.codes] == 0
    uncertainty = 1 - np.abs(2 * prob - 1)
    unsure = pixels[uncertainty > 0.2]  # p in [0.1, 0.9]
    confidence = np.where(image.in_mask, prob, 1 - prob)
    bins = np.bincount(_BIN_OF_CODE[image.codes], pixels, len(LOGIT_EDGES) + 1)
    values = {
        'Soft Dice Confidence': dice,
        'uncertainty of as many pixels as the mask has': _mean_of_largest(
            uncertainty, pixels, max(1, size)
        ),
        'share of the mask': size / total,
        'mean probability': (pixels * prob).sum() / total,
        'share of unsure pixels': unsure.sum() / total,
        'mean confidence': (pixels * confidence).sum() / total,
        'objects': image.num_objects,
        'share of pixels at the border': pixels[at_border].sum() / total,
        'spread of the logits at the border': _spread(
            np.abs(logit(prob[at_border])), pixels[at_border]
        ),
    }
    shares_of_logits = [title for title in DOMAIN_FEATURES if title not in values]
    values |= zip(shares_of_logits, bins / total)
    # Where images are alike to the sixth digit, the digits that a file leaves out would
    # tell those of the fit from all others.
    return five_digits([values[title] for title in DOMAIN_FEATURES])


def five_digits(value: Any) -> Any:
    """Numbers as a file holds them: five digits, None for nan."""
    if isinstance(value, list):
        return [five_digits(item) for item in value]
    if value is None or np.isnan(value):
        return None
    return float(f'{value:.5g}')


def _mean_of_largest(values: np.ndarray, times: np.ndarray, number: int) -> float:
    """Mean of so many of the largest of values that occur so often."""
    order = np.argsort(-values, kind='stable')
    times = times[order]
    before = np.cumsum(times) - times
    taken = np.clip(number - before, 0, times)
    return taken @ values[order] / taken.sum()


def _spread(values: np.ndarray, times: np.ndarray) -> float:
    """Standard deviation of values that occur so often, 0 without any."""
    total = max(1, times.sum())
    mean = times @ values / total
    return float(np.sqrt(times @ (values - mean) ** 2 / total))


def domain_inputs(features: np.ndarray) -> np.ndarray:
    """``(..., 17)`` domain features, each on its scale."""
    inputs = np.empty_like(features)
    for column, feature in enumerate(_DOMAIN):
        inputs[..., column] = _SCALES[feature.scale](features[..., column])
    return inputs


def has_mask(features: Any) -> Any:
    """Whether ``(..., 17)`` domain features are those of an image with a mask."""
    return np.asarray(features)[..., _MASK_SHARE] > 0


def areas_of(
    image: ImageCounts, prob: np.ndarray, valid: bool = False
) -> dict[str, float]:
    """Expected pixels of foreground as 'area', and what its error may count in.

    The latter by :data:`UNITS`. With ``valid`` only pixels with a label count.
    """
    pixels = image.pixels
    if valid:
        pixels = image.labelled
    of_codes = prob[image.codes]
    return {
        'area': float(pixels @ of_codes),
        'image': float(pixels.sum()),
        'doubt': float(pixels @ np.minimum(of_codes, 1 - of_codes)),
    }
