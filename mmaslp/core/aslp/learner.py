"""The learner: everything about the perturbation levels except the events of a host."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..argument_checks import check_integer, check_number, optional
from .bank import AlphaBank
from .batch import BatchDraw
from .counter_rng import image_keys, image_uniform, iteration_keys
from .exchange import exchange_margins
from .perturbation import Perturbation, check_alpha, resolve_perturbation
from .region_levels import RegionLevels, check_regions
from .rules import Measured, Rule, make_rule

__all__ = ['ASLP']

STATE_VERSION = 2
_MEASURED = tuple(field.name for field in fields(Measured))


class ASLP:
    r"""Adaptive Stochastic Label Perturbation, for any training loop.

    Keeps a perturbation level :math:`\alpha_i` per training image and draws which
    images of a batch get a perturbed label. A rule moves the levels: it uses the
    margins that :class:`SelfCalibratingBCE` leaves in the draw, and the values that the
    last validation measured.

    Draws depend only on the seed, the step and the image. So a resumed run continues
    exactly as an uninterrupted run. In a distributed training every process makes the
    same learner and calls :meth:`update` in every step; it joins the margins of all
    processes.

    With ``regions='border'`` the level of a pixel is :math:`\alpha_i` times that of its
    band of distance from the label's border (:func:`~mmaslp.core.border_bands`). The
    images' part :math:`\alpha_i` is 1 then, and the rule moves the levels of the bands,
    each by the gap that the validation measured in that band of the predicted border.

    Args:
        ids (Iterable[str]): One string per training image, such as its path; repeated
            strings share a level.
        beta (str | float): Perturbation, as of :class:`SelfCalibratingBCE`. Defaults to
            'HI'.
        rule (str | dict | Rule): ``'FB'``, ``'MC'``, ``'ME'``, ``'fixed'``, or a rule
            with its options, such as ``FB(gain=0.5)``. Defaults to 'FB'.
        alpha (float): Level that every image (with ``regions``: every band) starts
            with, in [0, 1], with ``alpha * beta < 1``. Defaults to 0.
        seed (int): Seed of the draws. Defaults to 0.
        warmup (int): Steps before the levels begin to move, >= 0. Defaults to 0.
        visits (float): Visits of an image between two validations, > 0: 1 if you
            validate after each epoch, 2 after every other. Defaults to 1.
        regions (str, optional): ``'border'`` for levels by region, which ``FB`` can
            move. Defaults to None: one level per image.
        logger (logging.Logger, optional): Where warnings go. Defaults to None: the
            logger 'mmaslp'.

    Attributes:
        bank (AlphaBank): The levels by image.
        measured (Measured | None): What the last validation measured.
        observed_step (int | None): Step of the last validation.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from mmaslp.core import SelfCalibratingBCE
        >>> aslp = ASLP(['a.png', 'b.png'], beta='HI', rule='FB')
        >>> criterion = SelfCalibratingBCE(beta='HI')
        >>> draw = aslp.draw(['b.png'], step=0)
        >>> loss = criterion(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4), draw)
        >>> aslp.update(draw)  # after loss.backward()
        []
        >>> aslp.observe(accuracy=0.9, confidence=0.95)  # after a validation
    """

    def __init__(
        self,
        ids: Iterable[str],
        beta: str | float | Perturbation = 'HI',
        rule: str | dict[str, Any] | Rule = 'FB',
        alpha: float = 0.0,
        seed: int = 0,
        warmup: float = 0,
        *,
        visits: float = 1.0,
        regions: str | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.rule = make_rule(rule)
        self.beta = resolve_perturbation(beta).beta
        self.start = check_alpha(alpha, self.beta)
        self.warmup = check_number('warmup', warmup, at_least=0)
        self.visits = check_number('visits', visits, above=0)
        self.seed = check_integer('seed', seed)
        self.regions = check_regions(regions, self.rule)
        self._regions = RegionLevels(self.start) if self.regions else None
        self.bank = AlphaBank(ids, 1.0 if self.regions else self.start)
        self.measured: Measured | None = None
        self.observed_step: int | None = None
        self._logger = logger or logging.getLogger('mmaslp')
        self._steps = 0
        self._heard = False
        warning = self.rule.instability(self.beta, by_region=self.regions is not None)
        if warning:
            self._warn(warning)

    def __repr__(self) -> str:
        return f'ASLP({len(self.bank)} images, beta={self.beta:g}, rule={self.rule})'

    @property
    def alpha(self) -> Tensor:
        """Tensor: The live levels, ``(num_images,)``, float64, by hash of the id."""
        return self.bank.alpha

    @property
    def profile(self) -> Tensor | None:
        """Tensor | None: With ``regions`` the live levels of the bands, else None.

        ``(B,)``, float64, the first at the border.
        """
        return None if self._regions is None else self._regions.profile

    @property
    def levels(self) -> dict[str, float]:
        """dict[str, float]: Level of every image, made anew at each call.

        With ``regions`` it is the images' part, 1; the levels are in :attr:`profile`.
        """
        return dict(zip(self.bank.ids, self.bank.alpha.tolist()))

    @property
    def under_confident(self) -> dict[int, float]:
        """dict[int, float]: Signed gap of each band that stays under-confident.

        In the last validation, at level 0, by more than 0.01; a temperature fitted
        after training mends them. Empty without ``regions``.
        """
        if self._regions is None or self.measured is None:
            return {}
        return self._regions.under_confident(self.measured)

    def draw(self, ids: Sequence[str], step: int) -> BatchDraw:
        """Draw once per image of a batch, for all losses together.

        Args:
            ids (Sequence[str]): Ids of the N images, in the order of the batch.
            step (int): Iteration of the training, >= 0; a resumed run continues the
                count.

        Returns:
            BatchDraw: Give it to the losses, then to :meth:`update`.

        Raises:
            ValueError: If the learner does not know an id, or ``step`` is not an
                integer >= 0.
        """
        step = check_integer('step', step, at_least=0)
        hashes = image_keys(ids)
        rows = self.bank.rows(hashes)
        if (rows < 0).any():
            raise ValueError(
                f'the batch holds {ids[int(np.argmin(rows))]!r}, which is no image of '
                f'the training set: ASLP was given {len(self.bank)} ids, such as '
                f'{self.bank.first_id!r}; batches must name images as that list does'
            )
        keys = iteration_keys(hashes, self.seed, step)
        alpha = self.bank.alpha.numpy()[rows]
        uniform, levels, profile = image_uniform(keys), alpha, None
        if self._regions is not None:
            share = getattr(self.measured, 'region_share', None)
            profile = self._regions.with_mean(share)
            # Nested: where a band of an image is perturbed, those of higher levels are.
            uniform, levels = uniform[:, None], np.outer(alpha, profile.numpy())
        self._steps = step + 1
        return BatchDraw(
            alpha=torch.from_numpy(alpha.astype(np.float32)),
            perturbed=torch.from_numpy(uniform < levels),
            keys=keys,
            rows=rows,
            beta=self.beta,
            step=step,
            profile=None if profile is None else profile.float(),
        )

    def update(self, draw: BatchDraw) -> list[str]:
        """Move the levels of the images of a batch, after the backward pass.

        The levels do not move during warm-up and before the first :meth:`observe`. If
        an image came twice, its level moves once, by the mean of its margins.

        Args:
            draw (BatchDraw): What :meth:`draw` returned, with the margins that the
                losses have left in it.

        Returns:
            list[str]: Ids of the images that were left out because their logits are not
            finite; a warning names them.

        Raises:
            ValueError: If no loss has left a margin in any draw so far.
        """
        margin = draw.margin
        if margin is None and not self._heard:
            raise ValueError(
                'no loss has left its margins in the draw: pass it on, as '
                'criterion(logits, labels, draw), before update(draw)'
            )
        self._heard = True
        moves = self.rule.learns and self.measured is not None and not self._regions
        if not moves or draw.step is None or draw.step < self.warmup:
            return []
        rows, values = _batch(draw.rows, margin)
        rows, values = exchange_margins(rows, values)
        finite = np.isfinite(values)
        left_out: list[str] = []
        if not finite.all():
            left_out = self._leave_out(rows[~finite])
            rows, values = rows[finite], values[finite]
        if len(set(rows.tolist())) < len(rows):
            rows, inverse = np.unique(rows, return_inverse=True)
            values = np.bincount(inverse, values) / np.bincount(inverse)
        if len(rows):
            self._move(rows, values)
        return left_out

    def observe(
        self,
        accuracy: Any,
        confidence: float | None = None,
        *,
        median_gap: float | None = None,
        region_gap: Sequence[float] | None = None,
        region_share: Sequence[float] | None = None,
        region_accuracy: Sequence[float] | None = None,
        step: int | None = None,
    ) -> None:
        """Take in what a validation has measured.

        Args:
            accuracy (float | CalibrationHistogram | BandTable): Pixel accuracy on the
                validation set at threshold 0.5, in [0, 1]. Or what counted the pixels
                of that set, also a metric of :mod:`mmaslp.hosts.torchmetrics`:
                its ``measured()`` supplies every value that is not given here. Levels
                by region take a :class:`BandTable`.
            confidence (float, optional): Mean confidence, max(p, 1 - p), in [0, 1];
                ``FB`` needs it. Defaults to None.
            median_gap (float, optional): ``median_gap`` of the histogram, in [-1, 1];
                ``FB(gap='median')`` needs it. Defaults to None.
            region_gap (Sequence[float], optional): Signed gap of each band of distance
                from the predicted border, ``(B,)``, in [-1, 1], nan for a band without
                pixels; levels by region need it. Defaults to None.
            region_share (Sequence[float], optional): Share of the pixels of each band,
                ``(B,)``, in [0, 1]. Defaults to None.
            region_accuracy (Sequence[float], optional): Accuracy in each band,
                ``(B,)``, in [0, 1], nan for a band without pixels; limits the levels.
                Defaults to None: no limit by accuracy.
            step (int, optional): Steps done so far. Defaults to None: the number of the
                last draw plus 1.

        Raises:
            ValueError: If a value that the rule needs is missing or out of its range. A
                nan is not an error: the rule keeps the previous values, and a warning
                says so.
        """
        if hasattr(accuracy, 'measured'):
            given = dict(
                confidence=confidence,
                median_gap=median_gap,
                region_gap=region_gap,
                region_share=region_share,
                region_accuracy=region_accuracy,
            )
            given = {name: value for name, value in given.items() if value is not None}
            self.observe(**{**accuracy.measured(), **given}, step=step)
            return
        self.observed_step = (
            self._steps if step is None else check_integer('step', step, at_least=0)
        )
        given = dict(accuracy=accuracy, confidence=confidence, median_gap=median_gap)
        needed = [name for name in ('accuracy', self.rule.needs) if name]
        for name in needed:
            value = given[name]
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(
                    f'rule={self.rule.name!r} needs {name} of the validation, a number,'
                    f' got {value!r}: give it, or observe(histogram)'
                )
            if not math.isfinite(value):
                self._warn(
                    f'the validation measured {name}={value}: the levels go on with '
                    f'{self.measured}'
                )
                return
        if self._regions is not None:
            self._regions.check_measured(region_gap, region_share, region_accuracy)
        landmark = self.rule.next_landmark(
            None if self.measured is None else self.measured.landmark,
            float(accuracy),
            self.observed_step <= self.warmup,
        )
        self.measured = Measured(
            float(accuracy),
            _known(confidence),
            _known(median_gap),
            landmark,
            self._with_recent(_floats(region_gap)),
            _floats(region_share),
            _floats(region_accuracy),
        )
        if self._regions is not None and self.observed_step >= self.warmup:
            self._regions.step(self.rule, self.beta, self.measured)

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors, numbers and strings, loadable with ``weights_only=True``.

        Returns:
            dict: ``ids`` (uint8, UTF-8 lines) and ``alpha`` (float64), which is the
            live tensor; ``seed``, ``settings`` of the rule, ``accuracy``,
            ``confidence``, ``median_gap``, ``landmark``, ``region_gaps``,
            ``region_share`` and ``region_accuracy`` (None before a validation),
            ``profile`` (float64, the live tensor; None without ``regions``), ``steps``,
            ``observed_step`` and ``version``.
        """
        measured = self.measured
        return dict(
            **self.bank.state_dict(),
            **{name: getattr(measured, name, None) for name in _MEASURED},
            profile=self.profile,
            version=STATE_VERSION,
            settings=self._settings(),
            seed=self.seed,
            steps=self._steps,
            observed_step=self.observed_step,
        )

    def load_state_dict(self, state: dict[str, Any]) -> int:
        """Take over the levels of the images that both know, and the rest of the state.

        The draws continue with the seed of the state. Warnings name settings that have
        changed and images without a partner. Levels above the limit of the present
        strength are lowered, with a warning.

        Args:
            state (dict): What :meth:`state_dict` returned.

        Returns:
            int: Number of images of this learner that were found in the state.

        Raises:
            ValueError: If the state is damaged; then nothing changes.
        """
        try:
            version = state['version']
            if version != STATE_VERSION:
                raise ValueError(f'it is of version {version}, not {STATE_VERSION}')
            seed = check_integer('seed', state['seed'])
            before = dict(state['settings'])
            steps = check_integer('steps', state['steps'], at_least=0)
            observed = optional(
                check_integer, 'observed_step', state['observed_step'], at_least=0
            )
            # The first states by region have no accuracy of the bands.
            state = {'region_accuracy': None, **state}
            values = {name: state[name] for name in _MEASURED}
            measured = None if values['accuracy'] is None else Measured(**values)
            by_region = self._saved_regions(state)
            found = self.bank.load_state_dict(state)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f'the state of ASLP is damaged ({error})') from error
        if seed != self.seed:
            self._warn(
                f'the draws go on with the seed {seed} of the state, not with the '
                f'seed {self.seed} given now; to draw anew, start a new training'
            )
        self.seed, self._steps, self.observed_step = seed, steps, observed
        self.measured = self._if_enough(measured)
        if self._regions is not None and by_region is not None:
            self._regions.profile.copy_(by_region)
        self._report_load(state, before, found)
        return found

    def _if_enough(self, measured: Measured | None) -> Measured | None:
        """What was measured, None where it lacks what the present rule needs."""
        needed = [self.rule.needs] if self.rule.needs else []
        missing = any(getattr(measured, name, None) is None for name in needed)
        return None if missing else measured

    def _settings(self) -> dict[str, Any]:
        return dict(
            self.rule.settings(),
            beta=self.beta,
            alpha=self.start,
            regions=self.regions,
        )

    def _with_recent(
        self, gaps: tuple[float, ...] | None
    ) -> tuple[tuple[float, ...], ...]:
        """Gaps of the bands in the last three validations, the newest last."""
        if gaps is None:
            return ()
        before = () if self.measured is None else self.measured.region_gaps
        return (*before, gaps)[-3:]

    def _saved_regions(self, state: dict[str, Any]) -> Tensor | None:
        """Levels by region of a state that has levels of the kind of this learner."""
        if (state['profile'] is None) != (self._regions is None):
            raise ValueError(
                "it has levels by region, this learner has none: give regions='border'"
                if self._regions is None
                else 'it has one level per image, this learner levels by region: take '
                'regions away'
            )
        return None if self._regions is None else self._regions.check_saved(state)

    def _report_load(self, state: dict[str, Any], before: dict, found: int) -> None:
        saved = state['alpha'].numel()
        if found < len(self.bank) or found < saved:
            self._warn(
                f'{found} of the {len(self.bank)} training images are among the '
                f'{saved} of the state and keep their level; the others start anew '
                '(images are told apart by their ids)'
            )
        changed = [
            f'{key} {before.get(key)} -> {value}'
            for key, value in self._settings().items()
            if before.get(key) != value
        ]
        if changed:
            self._warn(f'resumed with other settings: {", ".join(changed)}')
        limit = self.rule.max_level(self.beta)
        levels = self.bank.alpha if self.profile is None else self.profile
        beyond = int((levels > limit).sum())
        if beyond:
            levels.clamp_(max=limit)
            self._warn(
                f'{beyond} resumed levels would flip the expected label at beta '
                f'{self.beta:g} and were lowered to {limit:.4g}'
            )

    def _leave_out(self, rows: np.ndarray) -> list[str]:
        ids = self.bank.ids
        names = sorted({ids[row] for row in rows})
        self._warn(
            f'logits that are not finite in {len(names)} image(s) of the batch, whose '
            f'levels stay: {", ".join(names[:3])}'
        )
        return names

    def _move(self, rows: np.ndarray, margin: np.ndarray) -> None:
        assert self.measured is not None
        levels = self.bank.alpha.numpy()
        levels[rows] = self.rule.step(
            torch.from_numpy(levels[rows]),
            torch.from_numpy(margin),
            beta=self.beta,
            measured=self.measured,
            visits=self.visits,
        ).numpy()

    def _warn(self, message: str) -> None:
        # Formatted here: MMEngine's logger drops warnings of one template as repeated.
        self._logger.warning(f'ASLP: {message}')


def _batch(
    rows: np.ndarray | None, margin: Tensor | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and margins of a batch; empty if no loss was called in this step."""
    if rows is None or margin is None:
        return np.empty(0, np.int64), np.empty(0)
    return rows, margin.double().cpu().numpy()


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)


def _floats(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)
