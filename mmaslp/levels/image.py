"""Levels of images: one each, as in the paper."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from ..common.arguments import (
    check_array,
    check_integer,
    check_number,
    given_logger,
    optional,
    reading,
)
from ..common.arrays import LabelWatch
from ..common.draws import image_keys, image_uniform, iteration_keys
from ..common.processes import gathered
from ..losses.perturbations import Perturbation, check_alpha, resolve_perturbation
from ..losses.targets import Levels, PerturbedByImage, Sample, Target
from .rules import Rule, Validation, make_rule

STATE_VERSION = 4


@dataclass(frozen=True)
class Margins:
    """What the losses of one process have measured at a step."""

    rows: np.ndarray  # of the images in the levels, (N,), int64
    values: np.ndarray  # mean margins, (N,), float64


class ImageLevels(Levels):
    r"""Adaptive Stochastic Label Perturbation, with a level per training image.

    A level :math:`\alpha_i` is the probability with which image i gets a perturbed
    label. A rule moves the levels by the margins that :class:`SelfCalibratingBCE`
    leaves in the sample of a batch, and by what the last validation measured.

    A sample depends only on the seed, the step and the image, by its path below the
    folder that all share: a resumed run goes on exactly as an uninterrupted run, and a
    data set gives the same samples wherever it lies. In a distributed training every
    process makes its own object and calls :meth:`update` in every step; it joins the
    margins of all.

    Args:
        ids (Iterable[str]): One string per training image, such as its path, each once.
        beta (str | float): Perturbation, as of :class:`SelfCalibratingBCE`. Defaults to
            'HI'.
        rule (str | Rule): ``'MC'``, ``'ME'``, ``'FB'``, ``'fixed'``, or a rule
            with its options, such as ``FB(gain=0.5)``. Defaults to 'MC'.
        alpha (float): Level that every image starts with, in [0, 1], with
            ``alpha * beta < 1``. Defaults to 0.
        seed (int): Seed of the samples. Defaults to 0.
        warmup (float): Steps before the levels begin to move, >= 0. Defaults to 0.
        logger (logging.Logger, optional): Where warnings go. Defaults to None: the
            logger 'mmaslp'.

    Attributes:
        ids (list[str]): Those of the images, in the order of the levels.
        alpha (Tensor): Their levels, ``(num_images,)``, float64. :meth:`update` moves
            them in place.
        pending (Sample | None): The last sample, until :meth:`update` takes it; losses
            that hold these levels read it.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from mmaslp.losses import SelfCalibratingBCE
        >>> levels = ImageLevels(['a.png', 'b.png'], rule='MC')
        >>> criterion = SelfCalibratingBCE(levels)
        >>> sample = levels.sample(['b.png'], step=0)
        >>> loss = criterion(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4), sample)
        >>> levels.update(sample)  # after loss.backward()
        >>> levels.observe(accuracy=0.9)  # after a validation
    """

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def __init__(
        self,
        ids: Iterable[str],
        beta: str | float | Perturbation = 'HI',
        rule: str | Rule = 'MC',
        alpha: float = 0.0,
        seed: int = 0,
        warmup: float = 0,
        *,
        logger: logging.Logger | None = None,
    ) -> None:
        self.rule = make_rule(rule)
        self.perturbation = resolve_perturbation(beta)
        self.beta = self.perturbation.beta
        self.warmup = check_number('warmup', warmup, at_least=0)
        self.seed = check_integer('seed', seed)
        self.ids = _sorted_ids(ids)
        self._row_of = {name: row for row, name in enumerate(self.ids)}
        # Ids may be any texts; what follows the last slash is not a folder.
        shared = os.path.commonprefix(self.ids)  # noqa: RUF071
        self._folder = shared[: shared.rfind('/') + 1]

        start = check_alpha(alpha, self.beta)
        self.alpha = torch.full((len(self.ids),), start, dtype=torch.float64)
        self.pending: Sample | None = None
        self.validation: Validation | None = None
        self.watch = LabelWatch()
        self._logger = given_logger(logger)
        self._steps = torch.zeros((), dtype=torch.int64)
        if not self.rule.learns:
            self.expect_validations()

    def __getstate__(self) -> dict[str, Any]:
        """Copies warn by the logger 'mmaslp': one of MMEngine cannot be copied."""
        return {**vars(self), '_logger': logging.getLogger('mmaslp')}

    def target(self, perturbed: PerturbedByImage) -> Target:
        """See :class:`~mmaslp.losses.Levels`."""
        if perturbed.alpha and self.rule.learns:
            raise ValueError(
                'ImageLevels learn how often labels are perturbed: leave alpha and eps '
                "out of the loss; for one that stays, ImageLevels(rule='fixed', "
                'alpha=...)'
            )
        return replace(perturbed, levels=self)

    @property
    def levels(self) -> dict[str, float]:
        """dict[str, float]: Level of every image, made anew at each call."""
        return dict(zip(self.ids, self.alpha.tolist()))

    @property
    def steps(self) -> int:
        """int: Step of the last sample plus 1; 0 before the first."""
        return int(self._steps)

    def sample(self, names: Sequence[str], step: int) -> Sample:
        """Draw once per image of a batch, for all losses together.

        Args:
            names (Sequence[str]): Ids of the N images, in the order of the batch.
            step (int): Iteration of the training, >= 0; a resumed run counts on.

        Raises:
            ValueError: If an id is not known, or ``step`` does not count up.
        """
        step = check_integer('step', step, at_least=0)
        if step < self.steps:
            raise ValueError(
                f'step={step} comes after step={self.steps - 1}, but samples depend on '
                'the step: count the iterations of the whole training, as epoch * '
                'len(loader) + i'
            )

        if isinstance(names, Iterator):
            names = list(names)
        keys = iteration_keys(image_keys(names, self._folder), self.seed, step)
        if self.rule.learns and self.pending is not None:
            warnings.warn(
                'ASLP: a sample was not given to update: call update(sample) after '
                'each backward pass, else its levels stay',
                stacklevel=2,
            )

        for name in names:
            if name not in self._row_of:
                raise ValueError(
                    f'the batch contains {name!r}, which is not an image of the '
                    f'training set: ImageLevels got {len(self.ids)} ids, such as '
                    f'{self.ids[0]!r}; use the same names in batches'
                )

        rows = np.array([self._row_of[name] for name in names], np.int64)
        levels = self.alpha.numpy()[rows]
        perturbed = torch.from_numpy(image_uniform(keys) < levels)
        alpha = torch.from_numpy(levels.astype(np.float32))
        self.pending = Sample(alpha, perturbed, keys, rows, self.beta, step)
        self._steps.fill_(step + 1)
        return self.pending

    def update(self, sample: Sample, visits: float = 1.0) -> None:
        """Move the levels of the images of a batch, after the backward pass.

        Not in warm-up and before the first :meth:`observe`. The level of an image that
        came twice moves once, by the mean of its margins. Levels of images whose logits
        are not finite stay, and a warning names the images.

        Args:
            sample (Sample): What :meth:`sample` returned for the batch.
            visits (float): Visits of an image between two validations, > 0, for
                ``FB``. Defaults to 1.

        Raises:
            ValueError: If no loss has left a margin so far, or the sample is not the
                last one.
        """
        if sample is None or sample is not self.pending:
            raise ValueError(
                'update takes the last sample, once: call it after every sample(names, '
                'step) and its loss'
            )

        margin = sample.margin
        if margin is None:
            raise ValueError(
                'no loss has left its margins in the sample: pass it on, as '
                'criterion(logits, labels, sample), before update(sample)'
            )

        self.pending = None
        if not self.rule.learns or self.validation is None or sample.step < self.warmup:
            return
        values = margin.double().cpu().numpy()
        margins = Margins(np.asarray(sample.rows), values)
        every_process = gathered(margins)
        rows = np.concatenate([process.rows for process in every_process])
        values = np.concatenate([process.values for process in every_process])

        finite = np.isfinite(values)
        if not finite.all():
            self._warn_of_infinite(rows[~finite])
        # One mean margin of each image.
        rows, inverse = np.unique(rows[finite], return_inverse=True)
        values = np.bincount(inverse, values[finite]) / np.bincount(inverse)
        self.alpha[rows] = self.rule.step(
            self.alpha[rows],
            torch.from_numpy(values),
            beta=self.beta,
            validation=replace(self.validation, visits=visits),
        )

    def observe(self, accuracy: float, confidence: float | None = None) -> None:
        """Take in what a validation has measured; every process must call it.

        Args:
            accuracy (float): Pixel accuracy at threshold 0.5, in [0, 1].
            confidence (float, optional): Mean confidence, max(p, 1 - p), in [0, 1];
                ``FB`` needs it. Defaults to None.

        Raises:
            ValueError: If a value that the rule needs is missing or out of its range,
                the training labels look like masks of 0 and 255, or processes differ.
                After a nan the rule keeps the previous values, and a warning says so.
        """
        self.watch.check(at_least=10)
        self.expect_validations()
        needs_confidence = self.rule.required_field == 'confidence'
        if needs_confidence and confidence is None:
            raise ValueError(
                f'rule={self.rule.name!r} needs the confidence too: call '
                'observe(accuracy, confidence)'
            )
        if not needs_confidence:
            confidence = None
        self._check_processes(accuracy, confidence)

        if _is_nan(accuracy) or _is_nan(confidence):
            self._warn(
                f'the validation measured accuracy {accuracy}, confidence {confidence}'
                f': the levels go on with {self.validation}'
            )
            return

        accuracy = check_number('accuracy', accuracy)
        confidence = optional(check_number, 'confidence', confidence)
        landmark = self._landmark_after(accuracy)
        self.validation = Validation(accuracy, confidence, landmark)

    def _check_processes(self, accuracy: float, confidence: float | None) -> None:
        """Refuse processes that have other images or other metrics."""
        # As texts, in which a nan is equal to another one.
        measured = f'{accuracy} {confidence} {len(self.ids)} {self.ids[0]}'
        if len(set(gathered(measured))) > 1:
            raise ValueError(
                'the processes have other images or other metrics: give each all ids, '
                'and what the whole validation set has measured'
            )

    def _landmark_after(self, accuracy: float) -> float | None:
        """Accuracy that the rule compares with from now on, if it does so."""
        landmark = None
        if self.validation is not None:
            landmark = self.validation.landmark
        warming_up = self.steps <= self.warmup
        return self.rule.next_landmark(landmark, accuracy, warming_up)

    def state_dict(self) -> dict[str, Any]:
        """Live tensors, numbers and strings, loadable with ``weights_only=True``."""
        return dict(
            ids=self.ids,
            alpha=self.alpha,
            steps=self._steps,
            version=STATE_VERSION,
            seed=self.seed,
            validation=self.validation and asdict(self.validation),
        )

    def load_state_dict(self, state: dict[str, Any]) -> int:
        """Take over the seed and the levels of the images that both know; count them.

        The rule and the strength stay as given; levels above their limit are lowered to
        it. Warnings name their number, and that of images without a partner.

        Raises:
            ValueError: If the state is damaged or of another version; then nothing
                changes.
        """
        readable = isinstance(state, dict) and state.get('version') == STATE_VERSION
        if not readable or 'ids' not in state:
            raise ValueError(
                'the state is not one of ImageLevels, or of another version of mmaslp: '
                'train on from the weights, with levels that start anew'
            )

        with reading('the state of ImageLevels is damaged'):
            seed = check_integer('seed', state['seed'])
            count = torch.as_tensor(state['steps']).cpu()
            steps = check_array('steps', count, (), int, low=0)
            validation = state['validation'] and Validation(**state['validation'])
            names = state['ids']
            _sorted_ids(names)  # it refuses what cannot be ids
            # The released solver lets levels of a weak perturbation rise above 1.
            alpha = state['alpha']  # a list, from JSON
            if isinstance(alpha, torch.Tensor):
                alpha = alpha.tolist()
            levels = check_array('alpha', alpha, (len(names),), low=0, high=100)
            saved = dict(zip(names, levels.tolist()))

        shared = [name for name in self.ids if name in saved]
        for name in shared:
            self.alpha[self._row_of[name]] = saved[name]
        if getattr(validation, self.rule.required_field, None) is None:
            validation = None
        self.validation = validation
        # A rule or strength that was changed on purpose may have another limit.
        limit = self.rule.max_level(self.beta)
        above = int((self.alpha > limit).sum())
        if above:
            self._warn(
                f'{above} levels of the state are above {limit:g}, the most for '
                f'beta={self.beta:g}, and are lowered to it'
            )
        self.alpha.clamp_(max=limit)
        if len(shared) < max(len(self.ids), len(saved)):
            self._warn(
                f'{len(shared)} of the {len(self.ids)} training images are among the '
                f'{len(saved)} of the state and keep their level; the others start anew'
            )

        self.expect_validations()
        self.seed = seed
        self._steps.fill_(int(steps))
        self.pending = None
        return len(shared)

    def _warn_of_infinite(self, rows: np.ndarray) -> None:
        names = sorted({self.ids[row] for row in rows})
        self._warn(
            f'logits that are not finite in {len(names)} image(s) of the batch, '
            f'whose levels stay: {", ".join(names[:3])}'
        )

    def _warn(self, message: str) -> None:
        # Formatted here: MMEngine's logger drops warnings of one template as repeated.
        self._logger.warning(f'ASLP: {message}')


def _is_nan(value: float | None) -> bool:
    """Whether it is nan; what is no number at all is refused elsewhere."""
    return bool(value != value)


def _sorted_ids(ids: Any) -> list[str]:
    """Ids in the order of their hashes, whatever the order of the data set."""
    # One string is not several, which `image_keys` says.
    if isinstance(ids, Iterable) and not isinstance(ids, (str, bytes)):
        ids = list(ids)
    order = np.argsort(image_keys(ids), kind='stable')
    ordered = [ids[row] for row in order]
    if len(set(ordered)) < max(1, len(ordered)):
        raise ValueError('ids must name every training image once, and one at least')
    return ordered
