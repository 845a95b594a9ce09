"""The hook that learns the perturbation level of every training image."""

import logging
import os
import os.path as osp
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from mmengine.dist import (
    all_gather,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop
from mmseg.registry import HOOKS
from torch import Tensor

from ...checks.runner import (
    check_losses,
    check_model,
    check_pipeline,
    metric_keys,
)
from ...core.aslp.bank import AlphaBank
from ...core.aslp.batch import BatchDraw, BatchState
from ...core.aslp.counter_rng import (
    generator_seed,
    image_keys,
    image_uniform,
    iteration_keys,
)
from ...core.aslp.perturbation import check_alpha, max_alpha
from ...core.aslp.rules import RULES, check_step, explicit_limit, update_alpha
from ...datasets.listing import image_ids, iters_per_visit
from ...evaluation.run_context import add_picture
from ...models.losses import SCBCELoss
from ...utils.level_table import write_level_table
from ...visualization.alpha import alpha_histogram
from .validation import (
    first_validation,
    is_validation_due,
    validation_interval,
)

STATE_VERSION = 1
GAPS = ('mean', 'median')

# The log takes its statistics from no more levels than this. The rows of the bank are
# sorted by hash, so that the first ones are a random sample.
_MAX_SAMPLE = 4096


@HOOKS.register_module()
class ASLPHook(Hook):
    r"""Adaptive Stochastic Label Perturbation.

    Draws, before every iteration, which images of the batch get a perturbed label, for
    all :class:`SCBCELoss` modules of the model together, and after it moves the level
    :math:`\alpha_i` of every image of the batch along

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i + \eta(\nabla_{\alpha_i} L +
              \lambda\, reg_i), 0, \alpha_{max})

    with the margin that the losses saw and the accuracy that the last validation
    measured. Levels are keyed by ``img_path``, travel in the checkpoint (in MMEngine's
    ``MessageHub``), return with ``resume`` and start anew with ``load_from``.

    Args:
        rule (str): ``'MC'`` (model calibration) lets the levels rise until the expected
            confidence of the target meets the validation accuracy; ``'ME'`` (maximum
            entropy) until the accuracy falls below its landmark; ``'FB'`` (feedback)
            moves them until the network's own confidence on the validation set meets
            its accuracy, see ``gap``; ``'fixed'`` only draws, with ``alpha`` for every
            image. Defaults to 'MC'.
        eta (float): Step size of the levels, > 0. Defaults to 0.002.
        lam (float, optional): Weight of the rule against the gradient, >= 0; for
            ``'FB'`` eta * lam is the gain. Defaults to None: 2000, or 500 for ``'FB'``.
        solver (str): ``'implicit'`` (stable for every eta and lam), ``'explicit'`` or
            ``'released'`` (arithmetic of the official code). Defaults to 'implicit'.
        landmark (str | float): For ``'ME'``: ``'best'`` accuracy so far, that at the
            end of ``'warmup'``, or a number in [0, 1]. Defaults to 'best'.
        gap (str): What ``'FB'`` brings to 0, of the confidence minus the accuracy on
            the validation set: the ``'mean'`` (mean confidence equal to accuracy), or
            the ``'median'`` over pixels, each with the gap of its confidence bin (see
            docs/rules.md). Defaults to 'mean'.
        warmup_epochs (int, optional): Epochs (under iteration loops: visits of each
            image) before the levels begin to move. Defaults to None: 5, or 0 with
            ``rule='fixed'``.
        warmup_iters (int, optional): The same in iterations, instead. Defaults to None.
        alpha (float, optional): Level that every image starts with, in [0, 1], with
            alpha * beta < 1. Defaults to None: 0, or with ``rule='fixed'`` the
            ``alpha`` of the loss.
        accuracy_key (str, optional): Metric to take the accuracy from; values above 1
            are read as per cent. Defaults to None: that of ``CalibrationMetric``.
        seed (int, optional): Seed of the draws. Defaults to None: the runner's.
        reseed (bool): Seed torch's generators in every iteration from (seed, iteration,
            rank), so that dropout, too, continues after ``resume`` as it would have
            done without the interruption. Defaults to True.
        log_interval (int): Iterations between two records of the levels in the training
            log. Defaults to 10.
        draw_histogram (bool): Give every visualizer backend a histogram of the levels
            at each validation. Defaults to True.
        export (str, optional): Name of the table of images and levels that is written
            to the work directory when training ends, lowest level first. Defaults to
            'alpha.csv'; None writes none.

    Raises:
        ValueError: For an argument out of range at once; for a model, data pipeline or
            evaluator that the rule cannot work with before the first iteration.

    Example:
        >>> custom_imports = dict(imports=['mmaslp'])
        >>> custom_hooks = [dict(type='ASLPHook', rule='MC')]

    Source: `Model Calibration in Dense Classification with Adaptive Label Perturbation
    <https://arxiv.org/abs/2307.13539>`_.
    """

    # After the hooks that set up an iteration, before logger (BELOW_NORMAL) and
    # checkpoint (VERY_LOW), which shall see the levels of the same iteration.
    priority = 'NORMAL'
    STATE_KEY = 'aslp'

    def __init__(
        self,
        rule: str = 'MC',
        eta: float = 0.002,
        lam: float | None = None,
        solver: str = 'implicit',
        landmark: str | float = 'best',
        gap: str = 'mean',
        warmup_epochs: int | None = None,
        warmup_iters: int | None = None,
        alpha: float | None = None,
        accuracy_key: str | None = None,
        seed: int | None = None,
        reseed: bool = True,
        log_interval: int = 10,
        draw_histogram: bool = True,
        export: str | None = 'alpha.csv',
    ):
        if rule not in {*RULES, 'fixed'}:
            raise ValueError(
                f'rule must be one of {", ".join(RULES)} or fixed, got {rule!r}'
            )
        if lam is None:
            lam = 500.0 if rule == 'FB' else 2000.0
        check_step(rule, solver, eta, lam)
        named = landmark in ('best', 'warmup')
        if not named and not (
            isinstance(landmark, (int, float)) and 0.0 <= landmark <= 1.0
        ):
            raise ValueError(
                f"landmark must be 'best', 'warmup' or a number in [0, 1], got "
                f'{landmark!r}'
            )
        if gap not in GAPS:
            raise ValueError(f'gap must be one of {", ".join(GAPS)}, got {gap!r}')
        if warmup_epochs is not None and warmup_iters is not None:
            raise ValueError('give either warmup_epochs or warmup_iters, not both')
        for name, value in dict(
            warmup_epochs=warmup_epochs, warmup_iters=warmup_iters
        ).items():
            if value is not None and not (isinstance(value, Real) and value >= 0):
                raise ValueError(f'{name} must be a number >= 0, got {value!r}')
        if alpha is not None:
            check_alpha(alpha, 0.0)
        if log_interval < 1:
            raise ValueError(f'log_interval must be >= 1, got {log_interval!r}')
        if warmup_epochs is None:
            warmup_epochs = 0 if rule == 'fixed' else 5
        self.rule = rule
        self.eta = eta
        self.lam = lam
        self.solver = solver
        self.landmark = landmark
        self.gap = gap
        self.warmup_epochs = warmup_epochs
        self.warmup_iters = warmup_iters
        self.alpha = alpha
        self.accuracy_key = accuracy_key
        self.seed = seed
        self.reseed = reseed
        self.log_interval = log_interval
        self.draw_histogram = draw_histogram
        self.export = export
        self.bank: AlphaBank | None = None
        self._batch = BatchState()

    @property
    def learns(self) -> bool:
        """bool: Whether the rule moves the levels."""
        return self.rule != 'fixed'

    def before_train(self, runner: Any) -> None:
        """Check all that can be checked, make the bank, restore a resumed run."""
        loop = runner.train_loop
        dataset = loop.dataloader.dataset
        model = _unwrap(runner.model)
        losses = self._find_losses(model)
        check_pipeline(dataset, getattr(model, 'data_preprocessor', None))
        if self.learns:
            self._keys = metric_keys(runner, self.accuracy_key, self.rule == 'FB')

        level = self._start_level(losses)
        self._warn_of_gain()
        self.bank = AlphaBank(image_ids(dataset), level)
        self._plan_warmup(runner)
        # One for all ranks, whatever randomness.diff_rank_seed says.
        seed = [int(runner.seed if self.seed is None else self.seed)]
        broadcast_object_list(seed)
        self._state = dict(
            **self.bank.state_dict(),
            version=STATE_VERSION,
            settings=dict(
                rule=self.rule,
                solver=self.solver,
                beta=self._beta,
                eta=float(self.eta),
                lam=float(self.lam),
                alpha=level,
                gap=self.gap,
            ),
            seed=seed[0],
            accuracy=None,
            confidence=None,
            median_gap=None,
            landmark=None,
            validated_iter=None,
        )
        saved = runner.message_hub.get_info(self.STATE_KEY)
        if runner.iter > 0:
            self._restore(saved)
        runner.message_hub.update_info(self.STATE_KEY, self._state)
        self._levels = self.bank.alpha.numpy()
        self._catch_up = runner.iter > 0
        self._called = False
        for loss in losses:
            loss.bind(self._batch)

    def before_train_epoch(self, runner: Any) -> None:
        """Make up for a validation that a resumed run has not seen."""
        if not self._catch_up:
            return
        self._catch_up = False
        missing = self._state['validated_iter'] != runner.iter
        if self.learns and missing and is_validation_due(runner.train_loop):
            _log(
                f'the checkpoint of iteration {runner.iter} was written before the '
                'validation of that moment: validating now'
            )
            runner.val_loop.run()

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Draw once per image, for all heads."""
        seed = self._state['seed']
        keys = image_keys(_batch_ids(data_batch))
        self._rows = self.bank.rows(keys)
        if (self._rows < 0).any():
            unknown = _batch_ids(data_batch)[int(np.argmin(self._rows))]
            raise ValueError(
                f'the batch holds {unknown!r}, which is no image of the training set '
                'that ASLPHook listed: the pipeline must leave img_path as it is'
            )
        keys = iteration_keys(keys, seed, runner.iter)
        alpha = self._levels[self._rows]
        self._batch.begin(
            BatchDraw(
                alpha=torch.from_numpy(alpha.astype(np.float32)),
                perturbed=torch.from_numpy(image_uniform(keys) < alpha),
                keys=keys,
            )
        )
        if self.reseed:
            _seed_torch(generator_seed(seed, runner.iter, get_rank()))

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Move the levels of the images of the batch."""
        margin = self._batch.end()
        if margin is None and not self._called:
            raise ValueError(
                'no SCBCELoss was called in the training step: it must be the '
                'loss_decode of a head that is trained'
            )
        self._called = True
        if (
            margin is not None
            and self.learns
            and runner.iter >= self._warmup
            and self._state['accuracy'] is not None
        ):
            self._update(runner, self._rows, margin)
        if runner.iter % self.log_interval == 0:
            self._log_levels(runner)

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Take the accuracy for the rule, and draw the histogram."""
        if self.bank is None:
            return
        if self.learns:
            self._take_accuracy(runner, metrics or {})
        if self.draw_histogram and is_main_process():
            image = alpha_histogram(self._levels, self._beta)
            add_picture('alpha_histogram', image)

    def after_train(self, runner: Any) -> None:
        """Write the table of images and levels."""
        if self.export is None or not is_main_process():
            return
        path = osp.join(runner.work_dir, self.export)
        os.makedirs(osp.dirname(path), exist_ok=True)
        write_level_table(path, self.bank.ids, self._levels)
        _log(f'levels of {len(self.bank)} images written to {path}')

    def _find_losses(self, model: Any) -> list[SCBCELoss]:
        check_model(model)
        losses = [m for m in model.modules() if isinstance(m, SCBCELoss)]
        self._beta = check_losses(losses)
        return losses

    def _start_level(self, losses: list[SCBCELoss]) -> float:
        level = self.alpha
        levels = {loss.alpha for loss in losses}
        if level is None and self.learns:
            level = 0.0
        elif level is None:
            if len(levels) > 1:
                raise ValueError(
                    'the SCBCELoss modules have different levels alpha '
                    f"{sorted(levels)}: give ASLPHook(rule='fixed') the one for all"
                )
            level = levels.pop()
            if not level:
                _log(
                    "rule='fixed' with the level 0 perturbs no label; give ASLPHook "
                    'or SCBCELoss an alpha',
                    logging.WARNING,
                )
        unused = sorted(levels - {0.0, level})
        if unused:
            _log(
                f'SCBCELoss has the level {unused[0]:g} (alpha, or eps / beta), but '
                f'under ASLPHook every image starts with {level:g}: give the hook '
                'alpha, or take it out of the loss',
                logging.WARNING,
            )
        return check_alpha(level, self._beta)

    def _warn_of_gain(self) -> None:
        limit = explicit_limit(self.rule, self.eta, self._beta)
        if self.solver != 'implicit' and self.lam >= limit:
            _log(
                f'solver={self.solver!r} is not stable at lam {self.lam:g}: the levels '
                f"will go to and fro; take lam below {limit:g}, or solver='implicit'",
                logging.WARNING,
            )

    def _plan_warmup(self, runner: Any) -> None:
        loop = runner.train_loop
        by_epoch = not isinstance(loop, IterBasedTrainLoop)
        visit = iters_per_visit(loop.dataloader, len(self.bank), get_world_size())
        length = len(loop.dataloader) if by_epoch else visit
        self._warmup = (
            self.warmup_epochs * length
            if self.warmup_iters is None
            else self.warmup_iters
        )
        # Multiplied by the validation interval: visits of an image in that time.
        self._visits_per_interval = length / visit if by_epoch else 1 / visit
        if not self.learns:
            return
        start = max(self._warmup, first_validation(loop, length))
        if start >= loop.max_iters:
            _log(
                f'the levels never move: warm-up ({self._warmup} iterations) and the '
                f'first validation end at iteration {start}, training at '
                f'{loop.max_iters}; lower warmup_epochs or val_interval',
                logging.WARNING,
            )
        elif start > self._warmup:
            _log(
                f'warm-up ends at iteration {self._warmup}, but the levels begin to '
                f'move after the first validation, at iteration {start}',
                logging.WARNING,
            )

    def _restore(self, saved: dict | None) -> None:
        if saved is None:
            _log(
                'the checkpoint holds no state of ASLPHook (it was trained without '
                'it): all levels start anew',
                logging.WARNING,
            )
            return
        try:
            version = saved['version']
            if version != STATE_VERSION:
                raise ValueError(f'it is of version {version}, not {STATE_VERSION}')
            found = self.bank.load_state_dict(saved)
            for key in ('seed', 'accuracy', 'confidence', 'landmark', 'validated_iter'):
                self._state[key] = saved[key]
            # Not in checkpoints of before: the mean gap serves until a validation.
            self._state['median_gap'] = saved.get('median_gap')
            before = {'gap': 'mean', **saved['settings']}
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f'the state of ASLPHook in the checkpoint is damaged ({error}): resume '
                'from an earlier checkpoint, or train on from its weights with '
                'load_from'
            ) from error
        if found < len(self.bank) or found < _num_lines(saved['ids']):
            _log(
                f'{found} of the {len(self.bank)} training images are among the '
                f'{_num_lines(saved["ids"])} of the checkpoint and keep their level; '
                'the others start anew (images are told apart by img_path)',
                logging.WARNING,
            )
        now = self._state['settings']
        changed = [
            f'{k} {before.get(k)} -> {v}' for k, v in now.items() if before.get(k) != v
        ]
        if changed:
            _log(f'resumed with other settings: {", ".join(changed)}', logging.WARNING)
        limit = 1 / self._beta if self.solver == 'released' else max_alpha(self._beta)
        beyond = int((self.bank.alpha > limit).sum())
        if beyond:
            self.bank.alpha.clamp_(max=limit)
            _log(
                f'{beyond} resumed levels would flip the expected label at beta '
                f'{self._beta:g} and were lowered to {limit:.4g}',
                logging.WARNING,
            )
        _log(
            f'resumed the levels of {found} images, mean '
            f'{self.bank.alpha.mean().item():.4f}'
        )

    def _visits(self, runner: Any) -> float:
        # With less than one visit the whole step falls to the images that are visited.
        interval = validation_interval(runner.train_loop)
        return max(1.0, interval * self._visits_per_interval)

    def _update(self, runner: Any, rows: np.ndarray, margin: Tensor) -> None:
        margin = margin.double().cpu().numpy()
        if get_world_size() > 1:
            rows, margin = _gather(rows, margin)
        finite = np.isfinite(margin)
        if not finite.all():
            ids = self.bank.ids
            bad = sorted({ids[i] for i in rows[~finite]})
            _log(
                f'logits that are not finite in {len(bad)} image(s) of the batch, '
                f'whose levels stay: {", ".join(bad[:3])}',
                logging.WARNING,
            )
            rows, margin = rows[finite], margin[finite]
        # An image that came twice is moved once, by the mean of its margins.
        if len(set(rows.tolist())) < len(rows):
            rows, inverse = np.unique(rows, return_inverse=True)
            margin = np.bincount(inverse, margin) / np.bincount(inverse)
        if not len(rows):
            return
        state = self._state
        self._levels[rows] = update_alpha(
            torch.from_numpy(self._levels[rows]),
            torch.from_numpy(margin),
            accuracy=state['accuracy'],
            beta=self._beta,
            eta=self.eta,
            lam=self.lam,
            rule=self.rule,
            landmark=state['landmark'],
            solver=self.solver,
            confidence=state['confidence'],
            gap=state['median_gap'] if self.gap == 'median' else None,
            visits=self._visits(runner) if self.rule == 'FB' else 1.0,
        ).numpy()

    def _take_accuracy(self, runner: Any, metrics: dict) -> None:
        key = self._keys['accuracy']
        if key not in metrics:
            raise ValueError(
                f'the validation reports no {key!r} for ASLPHook, only '
                f'{sorted(metrics)}: set accuracy_key to one of these'
            )
        accuracy = float(metrics[key])
        if accuracy > 1.0:
            accuracy /= 100.0
        state = self._state
        state['validated_iter'] = runner.iter
        if not 0.0 <= accuracy <= 1.0:
            _log(
                f'the validation reports {key}={metrics[key]}: the levels go on with '
                f'the accuracy before, {state["accuracy"]}',
                logging.WARNING,
            )
            return
        state['accuracy'] = accuracy
        for name in ('confidence', 'median_gap'):
            if name in self._keys:
                state[name] = float(metrics[self._keys[name]])
        if not isinstance(self.landmark, str):
            state['landmark'] = float(self.landmark)
        elif self.landmark == 'best':
            state['landmark'] = max(accuracy, state['landmark'] or 0.0)
        elif runner.iter <= self._warmup or state['landmark'] is None:
            state['landmark'] = accuracy

    def _log_levels(self, runner: Any) -> None:
        levels = self._levels[:_MAX_SAMPLE]
        # The nearest order statistics: a tenth of the time of np.quantile.
        places = [round(q * (len(levels) - 1)) for q in (0.05, 0.5, 0.95)]
        quantiles = np.partition(levels, places)[places]
        names = ('alpha_p05', 'alpha_p50', 'alpha_p95')
        scalars = dict(zip(names, map(float, quantiles)))
        scalars['alpha'] = float(levels.mean())
        for name, value in scalars.items():
            runner.message_hub.update_scalar(f'train/{name}', value)


def _seed_torch(seed: int) -> None:
    # torch.manual_seed also queues seeds, with a formatted traceback each, for
    # accelerators that are not in use; in a loop that costs more than the draws.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)


def _unwrap(model: Any) -> Any:
    while is_model_wrapper(model):
        model = model.module
    return model


def _batch_ids(data_batch: Any) -> list[str]:
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    if not isinstance(samples, Sequence):
        raise ValueError(
            "ASLPHook reads the image paths from data_batch['data_samples'], a list of "
            'SegDataSample as PackSegInputs and pseudo_collate make it, got '
            f'{type(samples).__name__}'
        )
    try:
        return [sample.img_path for sample in samples]
    except AttributeError as error:
        raise ValueError(
            "ASLPHook needs 'img_path' in the meta_keys of PackSegInputs (it is among "
            'the default ones)'
        ) from error


def _gather(rows: np.ndarray, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and margins of all processes, in the order of the ranks.

    The batches of a step may differ in length; the traffic is that of the images
    visited, whatever the size of the bank.
    """
    sizes = all_gather(torch.tensor([len(rows)]))
    longest = int(max(int(s) for s in sizes))
    packed = torch.zeros(longest, 2, dtype=torch.float64)
    packed[: len(rows)] = torch.from_numpy(np.stack([rows, margin], axis=1))
    parts = [part[: int(size)] for part, size in zip(all_gather(packed), sizes)]
    merged = torch.cat([part.cpu() for part in parts]).numpy()
    return merged[:, 0].astype(np.int64), merged[:, 1]


def _num_lines(text: Tensor) -> int:
    return int((text == ord('\n')).sum()) + 1


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(f'ASLP: {message}', logger='current', level=level)
