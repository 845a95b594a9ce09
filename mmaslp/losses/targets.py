"""What the criterion trains on: labels smoothed by band, or perturbed by image."""

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..common.arguments import check_bool
from ..common.arrays import LabelWatch, check_places
from ..common.bands import border_row_values
from ..common.draws import pixel_uniform
from .functional import Strength, like_pixels
from .perturbations import (
    Perturbation,
    check_alpha,
    truncated_normal,
)


@dataclass(eq=False)
class Sample:
    """Which images of a batch get a perturbed label, for every loss of the model.

    A loss reads the sample and calls :meth:`record`; :class:`ImageLevels` read
    :attr:`margin`.
    """

    alpha: Tensor  # levels of the images, (N,), float32
    perturbed: Tensor  # outcome of the draws, (N,), bool
    keys: np.ndarray  # of the noise per pixel, (N,), uint64
    rows: np.ndarray | None = None  # of the images in the levels, (N,), int64
    beta: float | None = None  # strength that the levels belong to
    step: int = 0
    _total: Tensor | None = field(default=None, init=False, repr=False)
    _weight: float = field(default=0.0, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.alpha)

    def record(self, margin: Tensor, weight: float = 1.0) -> None:
        """Add the margins ``(N,)`` of one call of a loss of some weight."""
        weight = abs(float(weight)) or 1e-12
        total = margin.float() * weight
        if self._total is not None:
            total = self._total + total
        self._total = total
        self._weight += weight

    @property
    def margin(self) -> Tensor | None:
        """Tensor | None: Mean margins ``(N,)``, by the weights; None without a loss."""
        if self._total is None:
            return None
        return self._total / self._weight


def independent_sample(alpha: float, num_images: int) -> Sample:
    """Draw from torch's global generator, for a loss without :class:`ImageLevels`."""
    levels = torch.full((num_images,), alpha)
    keys = torch.randint(-(2**63), 2**63 - 1, (num_images,), dtype=torch.int64)
    return Sample(
        alpha=levels,
        perturbed=torch.rand(num_images) < levels,
        keys=keys.numpy().view(np.uint64),
    )


@dataclass(frozen=True)
class Batch:
    """What a target is made for.

    Attributes:
        labels (Tensor): In the shape of :meth:`Target.as_maps`.
        valid (Tensor | None): Which of them are valid, of the same shape.
        sample (Sample | None): That of :meth:`Target.sample_of`.
        training (bool): Whether the loss is in training mode.
    """

    labels: Tensor
    valid: Tensor | None
    sample: Sample | None
    training: bool


class Target(ABC):
    """How labels become the target of a loss."""

    def as_maps(self, pixels: Tensor) -> Tensor:
        """Bring pixels ``(N, ...)`` into the shape that :meth:`strength` takes."""
        if pixels.dim() == 1:
            return pixels[:, None]
        return pixels

    @abstractmethod
    def sample_of(
        self, num_images: int, sample: Sample | None, training: bool
    ) -> Sample | None:
        """Sample of a batch, which takes the margins; None where nothing is drawn.

        ``sample`` is the one that the loss was called with.
        """

    @abstractmethod
    def strength(self, batch: Batch) -> Strength:
        """Say how strongly the labels of a batch are perturbed."""


# Batches before the first validation that are worth a warning.
MANY_BATCHES = 5000


class Levels(ABC):
    """What moves a target: :mod:`mmaslp.levels` has the two kinds.

    Attributes:
        watch (LabelWatch): Counts the labels that the criterion sees.
        perturbation (Perturbation | None): What a perturbed label becomes, if the
            levels know it.
    """

    watch: LabelWatch
    perturbation: Perturbation | None = None
    _batches: float = 0  # before the first validation

    @abstractmethod
    def target(self, perturbed: 'PerturbedByImage') -> Target:
        """Make the target of a loss whose other arguments are those of ``perturbed``.

        Raises:
            ValueError: They do not fit the levels.
        """

    def count_batch(self) -> None:
        """Take notice of a batch; warn, once, of a training without a validation."""
        self._batches += 1
        if self._batches == MANY_BATCHES:
            warnings.warn(
                f'{MANY_BATCHES} batches have passed without observe(...): call it '
                'after a validation, else the levels stay where they are',
                stacklevel=4,
            )

    def expect_validations(self) -> None:
        """Trust that validations are observed, however long an epoch is."""
        self._batches = -math.inf


class GiveBandLevels(Protocol):
    """What :class:`SmoothedByBand` reads, such as ``BandLevels``."""

    levels: Tensor  # of each band, that at the border first, (5,), float64

    @property
    def mean_level(self) -> float:
        """float: Level of all pixels, for labels without a border."""


class WeighImages(GiveBandLevels, Protocol):
    """What :class:`SmoothedByImageAndBand` reads, such as ``ImageBandLevels``."""

    def weights_of(self, errors: Tensor) -> Tensor:
        """Weights of the images of a batch by their errors, ``(N,)`` each."""

    def weights_now(self, errors: Tensor) -> Tensor:
        """The same of images that nothing is learned from."""


class HoldSample(Protocol):
    """What :class:`PerturbedByImage` reads, such as ``ImageLevels``."""

    pending: Sample | None  # of the batch


@dataclass(frozen=True)
class SmoothedByBand(Target):
    """Labels smoothed by the level of their band; after ``eval()`` by none.

    Bands lie in the plane of the last two axes. Labels without a plane, such as points,
    take the mean level.
    """

    levels: GiveBandLevels

    def as_maps(self, pixels: Tensor) -> Tensor:
        """See :meth:`Target.as_maps`: slices of volumes are maps of their own."""
        if pixels.dim() < 3:
            return super().as_maps(pixels)
        check_places(pixels)
        return pixels.flatten(0, -3)

    def sample_of(
        self, num_images: int, sample: Sample | None, training: bool
    ) -> Sample | None:
        """See :meth:`Target.sample_of`: levels by band draw nothing."""
        if sample is not None:
            raise ValueError(
                f'{type(self.levels).__name__} draw nothing: leave the sample out'
            )
        return None

    def strength(self, batch: Batch) -> Strength:
        """See :meth:`Target.strength`."""
        labels = batch.labels
        images = len(labels)
        of_bands = self.levels.levels
        if not (batch.training and of_bands.any()):
            return Strength(torch.zeros(images, device=labels.device))
        if labels.dim() < 3:
            level = self.levels.mean_level
            return Strength(torch.full((images,), level, device=labels.device))

        eps = of_bands.float().to(labels.device, non_blocking=True)
        values, shared_rows = border_row_values(labels, eps, batch.valid)
        return Strength(values, shared_rows)


@dataclass(frozen=True)
class SmoothedByImageAndBand(SmoothedByBand):
    """Labels smoothed by the level of their band times the weight of their image."""

    levels: WeighImages

    def strength(self, batch: Batch) -> Strength:
        """See :meth:`Target.strength`; after ``eval()`` no image is measured.

        Without gradients, as in a validation in ``train()``, no error is taken in.
        """
        by_band = super().strength(batch)
        if not batch.training:
            return by_band
        weights_of = self.levels.weights_of
        if not torch.is_grad_enabled():
            weights_of = self.levels.weights_now
        return replace(by_band, weights_of=weights_of)


@dataclass(frozen=True)
class PerturbedByImage(Target):
    """Labels of an image that are perturbed as a whole, with a probability.

    Args:
        perturbation (Perturbation): What a perturbed label becomes.
        alpha (float): Probability, of a target without levels.
        deterministic (bool): Whether to take the expected label instead of drawing.
        per_pixel (bool): Whether to draw for every pixel.
        levels (ImageLevels, optional): Where samples come from.
    """

    perturbation: Perturbation
    alpha: float = 0.0
    deterministic: bool = False
    per_pixel: bool = False
    levels: HoldSample | None = None

    def __post_init__(self) -> None:
        check_alpha(self.alpha, self.perturbation.beta)
        check_bool('deterministic', self.deterministic)
        check_bool('per_pixel', self.per_pixel)
        if self.deterministic and self.per_pixel:
            raise ValueError(
                'per_pixel=True draws and deterministic=True does not: set one of them'
            )

    def sample_of(
        self, num_images: int, sample: Sample | None, training: bool
    ) -> Sample | None:
        """See :meth:`Target.sample_of`: that of the levels, else one of its own."""
        if sample is None:
            perturbs = self.levels is not None or self.alpha
            if not (training and perturbs):
                return None
            sample = self._sample(num_images)
        self._check(sample, num_images)
        return sample

    def strength(self, batch: Batch) -> Strength:
        """See :meth:`Target.strength`."""
        sample = batch.sample
        labels = batch.labels
        if sample is None:
            return Strength(torch.zeros(len(labels), device=labels.device))
        beta = self.perturbation.beta
        if self.deterministic:
            alpha = sample.alpha.to(labels.device, non_blocking=True)
            return Strength(beta * alpha)
        chosen = self._chosen(sample, labels)
        return Strength(chosen * beta, noise=self._noise(sample, chosen, labels))

    def _chosen(self, sample: Sample, labels: Tensor) -> Tensor:
        """1. where a label is perturbed, else 0., of each image or pixel."""
        if not self.per_pixel:
            return sample.perturbed.float().to(labels.device, non_blocking=True)
        alpha = sample.alpha.to(labels.device, non_blocking=True)
        # The negated keys are a stream apart from that of the noise.
        uniform = pixel_uniform(~sample.keys, labels.shape[1:], labels.device)
        return (0.5 * (uniform + 1) < like_pixels(alpha, labels)).float()

    def _noise(self, sample: Sample, chosen: Tensor, labels: Tensor) -> Tensor | None:
        """Noise of the labels that are perturbed, of the shape of the labels."""
        bound = self.perturbation.noise
        if not bound or not (self.per_pixel or sample.perturbed.any()):
            return None
        uniform = pixel_uniform(sample.keys, labels.shape[1:], labels.device)
        return truncated_normal(uniform, bound) * like_pixels(chosen, labels)

    def _sample(self, num_images: int) -> Sample:
        """Sample of the batch that the levels hold, or one without levels."""
        if self.levels is None:
            return independent_sample(self.alpha, num_images)
        if self.levels.pending is None:
            raise ValueError(
                'ImageLevels need the sample of the batch: call levels.sample(names, '
                'step) before the loss, and in a validation criterion.eval()'
            )
        return self.levels.pending

    def _check(self, sample: Sample, num_images: int) -> None:
        """Refuse the sample of another batch, or of another strength."""
        if len(sample) != num_images:
            raise ValueError(
                f'the sample is for a batch of {len(sample)} images but the loss is '
                f'called with {num_images}: use another loss in heads that split, '
                'drop or mix images'
            )
        if sample.beta not in (None, self.perturbation.beta):
            raise ValueError(
                f'the sample is for the strength beta={sample.beta:g} but the loss has '
                f'beta={self.perturbation.beta:g}: give ImageLevels, and the loss '
                'of every head, also of auxiliary ones, the same beta'
            )
