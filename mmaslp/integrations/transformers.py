"""Levels by band and a calibrator in a training of Hugging Face's ``Trainer``."""

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.state import GradientState, PartialState
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.trainer_callback import ExportableState, TrainerCallback

from ..augmentation.windows import resized
from ..calibration.calibrator import CALIBRATOR_FILE, Calibrator, loaded
from ..calibration.module import fingerprint_of, marked, same_weights
from ..common.arguments import check_choice, check_text
from ..common.arrays import at_least_float32, one_logit
from ..common.maps import refuse_calibrated
from ..common.processes import joined
from ..levels.bands import BandLevels
from ..losses.criterion import SelfCalibratingBCE
from ..metrics.band_table import BandTable
from ..training.sessions import (
    METRICS,
    CalibratorSession,
    LevelsSession,
)
from ..training.written import note_written, written_by_training

__all__ = [
    'SelfCalibration',
    'calibrate_scores',
    'calibrated',
    'foreground_logits',
    'logits_of_scores',
]


# A share of a pixel stays so far from 0 and 1, as its logit is read.
EDGE = 1e-6
# Logit of a query that is sure of its class: the others get less than 1e-25.
SURE = 30.0
# What `post_process_semantic_segmentation` gives as scores, by the family of models.
SCORES = ('logits', 'probabilities')


def foreground_logits(outputs: Any, size: Sequence[int]) -> Tensor:
    """Read the logits of the foreground from what a model returns.

    A model has logits for each pixel; or, as MaskFormer, Mask2Former and OneFormer,
    queries with a class and a mask. The score of a class is then the sum over the
    queries of the probability of the class times the sigmoid of the mask, as in
    ``post_process_semantic_segmentation``. Of two classes the larger score wins there,
    so the logit is the log of the ratio of the two. Source of the queries: `Cheng et
    al., Per-Pixel Classification is Not All You Need for Semantic Segmentation
    <https://arxiv.org/abs/2107.06278>`_.

    Args:
        outputs (Any): What the model returns. It knows one label, the foreground, or
            two, background and foreground.
        size (Sequence[int]): Height and width of the logits.

    Returns:
        Tensor: ``(N, H, W)``, at least float32.

    Raises:
        ValueError: If the model does not segment one or two labels.
    """
    if not isinstance(size, Sequence) or len(size) != 2:
        raise ValueError(f'size must be height and width, as (320, 480), got {size}')
    if has_queries(outputs):
        scores = scores_of_queries(outputs)
        return logits_of_shares(resized(scores, *size))

    logits = outputs[0] if isinstance(outputs, tuple | list) else outputs
    if isinstance(outputs, Mapping):
        logits = outputs.get('logits')
    shape = tuple(getattr(logits, 'shape', ()))
    if len(shape) != 4 or shape[1] > 2:
        raise ValueError(
            'mmaslp needs one or two logits per pixel, (N, 1, H, W) or '
            f'(N, 2, H, W), but the model returns {shape or type(outputs).__name__}: '
            'load a model for semantic segmentation with num_labels=2'
        )

    return resized(one_logit(at_least_float32(logits)).unsqueeze(1), *size).squeeze(1)


def has_queries(outputs: Any) -> bool:
    """Whether a model returns queries, each with a class and a mask."""
    return isinstance(outputs, Mapping) and 'class_queries_logits' in outputs


def scores_of_queries(outputs: Mapping[str, Tensor]) -> Tensor:
    """``(N, C, H, W)`` scores of one or two classes, at the size of the masks."""
    of_classes = at_least_float32(outputs['class_queries_logits'])
    masks = at_least_float32(outputs['masks_queries_logits'])
    classes = of_classes.softmax(-1)[..., :-1]  # the last is that of no object
    number = classes.shape[-1]
    if number > 2:
        raise ValueError(
            'mmaslp needs a model of one or two labels, but the model has '
            f'{number}: load it with num_labels=2'
        )
    return torch.einsum('bqc, bqhw -> bchw', classes, masks.sigmoid())


def logits_of_shares(scores: Tensor) -> Tensor:
    """Logits ``(N, H, W)`` of scores ``(N, C, H, W)`` that are not negative.

    Of one channel it is the probability; of two, background and foreground, the
    foreground's share of both. So the larger of two still decides.
    """
    scores = at_least_float32(scores)
    share = scores[:, 0]
    if scores.shape[1] == 2:
        floor = torch.finfo(scores.dtype).tiny
        share = scores[:, 1] / scores.sum(1).clamp_min(floor)
    return torch.logit(share, EDGE)


def with_foreground_logits(outputs: Any, logits: Tensor) -> Any:
    """Let outputs with queries give these ``(N, H, W)`` logits.

    The queries become one for each label, which is sure of its class.
    """
    number = outputs['class_queries_logits'].shape[-1] - 1
    sure = SURE * (2 * torch.eye(number, number + 1, device=logits.device) - 1)
    outputs.class_queries_logits = sure.expand(len(logits), -1, -1)
    masks = [logits] if number == 1 else [-logits, logits]
    outputs.masks_queries_logits = torch.stack(masks, 1)
    return outputs


def logits_of_scores(processed: Sequence[Any], scores: str = 'logits') -> list[Tensor]:
    """Read the logits of the foreground from scores of a processor.

    Args:
        processed (Sequence): What ``processor.post_process_semantic_segmentation(...,
            return_segmentation_scores=True)`` gives.
        scores (str): What the processor gives as scores: 'logits' (SegFormer, UPerNet,
            BEiT, DPT), or 'probabilities' (MaskFormer, Mask2Former, OneFormer, EoMT,
            SAM 3). Defaults to 'logits'.

    Returns:
        list[Tensor]: ``(H, W)`` of each image, at least float32.

    Raises:
        ValueError: If there are no scores, or not those of one or two labels.
    """
    check_choice('scores', scores, SCORES)
    return [_logits_of(image, scores) for image in processed]


def _logits_of(image: Any, scores: str) -> Tensor:
    """Logits ``(H, W)`` of one image."""
    values = getattr(image, 'segmentation_scores', None)
    if not isinstance(values, Tensor) or values.dim() != 3 or len(values) > 2:
        shape = tuple(getattr(values, 'shape', ()))
        raise ValueError(
            'give what post_process_semantic_segmentation(..., '
            'return_segmentation_scores=True) returns for a model of one or two '
            f'labels, not scores {shape or type(image).__name__}'
        )
    refuse_calibrated(values)
    least = values.min()
    if scores == 'probabilities':
        if least < 0:
            raise ValueError(
                f"scores of {least:.3g} are no probabilities: say scores='logits'"
            )
        return logits_of_shares(values[None])[0]
    if 0 <= least < values.max():  # which may sum up the probabilities of queries
        warnings.warn(
            "no score is negative: if they are probabilities, say scores='"
            "probabilities'",
            stacklevel=4,
        )
    return one_logit(at_least_float32(values), 0)


def calibrate_scores(
    processed: Sequence[Any],
    calibrator: Calibrator | str | Path,
    scores: str = 'logits',
) -> list[Any]:
    """Calibrate the scores of a processor, and give them back in their form.

    The calibrator was fitted to :func:`logits_of_scores`, at the size of the images.

    Args:
        processed (Sequence): As in :func:`logits_of_scores`; so ``scores``.
        calibrator (Calibrator | str | Path): The calibrator, or its file.
        scores (str): Defaults to 'logits'.

    Returns:
        list: For each image an object of the same class: ``segmentation_scores`` are
        ``(2, H, W)`` for background and foreground, calibrated logits or probabilities,
        and ``segmentation`` is where the foreground's are larger.

    Example:
        >>> images = processor.post_process_semantic_segmentation(  # doctest: +SKIP
        ...     outputs, target_sizes=sizes, return_segmentation_scores=True
        ... )
        >>> images = calibrate_scores(images, 'out/calibrator.json')  # doctest: +SKIP
        >>> prob = images[0].segmentation_scores.softmax(0)[1]  # doctest: +SKIP
    """
    calibrator = loaded('calibrator', calibrator)
    calibrated_images = []
    processed = list(processed)
    for image, logits in zip(processed, logits_of_scores(processed, scores)):
        values = calibrator.logits(logits)
        both = torch.stack([-values / 2, values / 2])
        if scores == 'probabilities':
            both = torch.stack([-values, values]).sigmoid()
        data = dict(segmentation=(values > 0).long(), segmentation_scores=marked(both))
        calibrated_images.append(type(image)(data=data))
    return calibrated_images


@torch.no_grad()
def count_set(
    session: CalibratorSession, model: nn.Module, loader: Iterable[dict]
) -> None:
    """Hand an evaluation set, which several processes share, to a session."""
    process = PartialState()
    seen = 0
    session.start_validation(model)
    model.eval()
    for batch in loader:
        inputs = dict(batch)
        labels = inputs.pop('labels')
        logits = foreground_logits(model(**inputs), labels.shape[-2:])

        first = seen + process.process_index * len(labels)
        once = images_once(len(labels))
        session.update(
            logits[:once], labels[:once], range(first, first + once), logits=True
        )
        seen += process.num_processes * len(labels)
    session.end_validation()


def images_once(num_images: int) -> int:
    """Count the images of a batch, the first, that accelerate does not repeat."""
    gradient = GradientState()
    if not gradient.end_of_dataloader or gradient.remainder <= 0:
        return num_images
    return min(
        max(gradient.remainder - PartialState().process_index * num_images, 0),
        num_images,
    )


def evaluations_before_end(args: Any, state: Any) -> int:
    """Count the evaluations that training steps follow."""
    times = range(0)
    if args.eval_strategy == 'steps':
        times = range(int(state.eval_steps), state.max_steps, int(state.eval_steps))
    # Nobody knows the epochs of a set without a length.
    elif args.eval_strategy == 'epoch' and state.num_train_epochs < sys.maxsize:
        times = range(1, int(state.num_train_epochs))
    return args.eval_on_start + sum(time >= args.eval_delay for time in times)


Model = TypeVar('Model', bound=nn.Module)


def calibrated(model: Model, calibrator: Calibrator | str | Path) -> Model:
    """Let a model return calibrated logits, of the size of its input.

    The model, with one or two labels, is changed in place and stays of its class, so
    that ``pipeline`` and ``post_process_semantic_segmentation`` take it. A model with
    queries, such as Mask2Former, returns one query for each label instead of its own,
    which tells nothing of instances. Bands of distance are those of the mask at the
    size of the input. A ``loss`` that the model returns stays that of its raw logits.
    Weights are compared with those of the fit now, and not again.

    Args:
        model (PreTrainedModel): The model, which is returned.
        calibrator (Calibrator | str | Path): The calibrator, its file, or the folder
            where the training has saved it.

    Raises:
        ValueError: If it is calibrated already; or, when it is called, if it returns no
            logits per pixel.

    Example:
        >>> model = calibrated(model, 'out')  # doctest: +SKIP
        >>> prob = model(pixel_values).logits.softmax(1)[:, 1]  # doctest: +SKIP
    """
    if getattr(model, '_mmaslp_calibrated', False):
        raise ValueError('the model is calibrated already: load it anew')
    calibrator = loaded('calibrator', calibrator)
    calibrator.check_network(model)
    model.register_forward_hook(
        partial(_calibrate_outputs, calibrator.wrap(nn.Identity())), with_kwargs=True
    )
    model._mmaslp_calibrated = True  # type: ignore[assignment]
    return model


def _calibrate_outputs(
    calibrate: nn.Module, model: nn.Module, args: tuple, kwargs: dict, outputs: Any
) -> Any:
    """The hook of a calibrated model, of a module so that it can be pickled."""
    pixels = kwargs['pixel_values'] if 'pixel_values' in kwargs else args[0]
    if has_queries(outputs):
        logits = foreground_logits(outputs, pixels.shape[-2:]).unsqueeze(1)
        return with_foreground_logits(outputs, calibrate(logits).squeeze(1))
    if not hasattr(outputs, 'logits'):
        raise ValueError('the model returns no logits: leave out return_dict=False')
    outputs.logits = calibrate(resized(outputs.logits, *pixels.shape[-2:]))
    return outputs


class SelfCalibration(TrainerCallback, ExportableState):
    """Levels by band in a training of ``Trainer``, and a calibrator at its end.

    The Trainer calls :meth:`loss`: in training it is
    :class:`~mmaslp.SelfCalibratingBCE`, in evaluation BCE that also counts the pixels
    in a :class:`~mmaslp.BandTable`. So an evaluation keeps no logits in memory, and
    needs no ``compute_metrics``. After every evaluation the levels follow the table.
    When the training ends, one more pass over the evaluation set fits a calibrator to
    the model that the Trainer keeps, and saves it as ``calibrator.json`` in
    ``output_dir``.

    **Models** have one or two logits per pixel, which are resized to the labels. A
    Trainer does not give auxiliary heads to ``compute_loss_func``: they are not
    trained.

    **Figures.** ``evaluate()``, ``predict()`` and the log have ``ece_band``,
    ``ece_band_true``, ``acc``, ``conf`` and ``iou``, and in a training with levels
    ``level_band0`` (at the border) to ``level_band4``, with the prefix of the
    evaluation. Several processes count each image once.

    **Resuming.** The levels are in ``trainer_state.json`` of every checkpoint, so
    ``train(resume_from_checkpoint=...)`` goes on with them. Without a checkpoint,
    ``train()`` starts them anew.

    Args:
        levels (str | BandLevels | None): ``'image_band'`` or ``'band'``, levels that
            warm up for a third of the evaluations; levels of your own; or None for
            plain BCE, which has figures and a calibrator too. Defaults to
            'image_band'.
        calibrator (bool | Mapping): Whether to fit a calibrator, or options of
            :func:`~mmaslp.calibration.fit_tables`, such as
            ``dict(target='probability')``. Defaults to True.
        ignore_index (int): Label of pixels without a label. Defaults to 255.
        evaluation (str): Prefix of the evaluation that moves the levels. With a
            dictionary of evaluation sets it is ``'eval_'`` and the name of one.
            Defaults to 'eval'.

    Attributes:
        levels (BandLevels | None): The levels.
        calibrator (Calibrator | None): The calibrator, once a training has ended.

    Raises:
        FileExistsError: At the beginning of the training, if there is a calibrator in
            ``output_dir`` that is not as a training wrote it.
        ValueError: At the beginning of the training, if levels could not follow the
            gaps. In the training, if the model or the labels are not binary.

    Example:
        >>> calibration = SelfCalibration()
        >>> trainer = Trainer(  # doctest: +SKIP
        ...     compute_loss_func=calibration.loss, callbacks=[calibration], ...
        ... )
    """

    def __init__(
        self,
        levels: str | BandLevels | None = 'image_band',
        calibrator: bool | Mapping[str, Any] = True,
        ignore_index: int = 255,
        evaluation: str = 'eval',
    ) -> None:
        self.session = None if levels is None else LevelsSession(levels, ignore_index)
        self.levels = None if self.session is None else self.session.levels
        self.ignore_index = ignore_index
        self.calibrator: Calibrator | None = None
        self._calibrators = CalibratorSession.of(calibrator, ignore_index)
        self._first = self._levels_state()
        self._evaluation = check_text('evaluation', evaluation)
        self._criterion = SelfCalibratingBCE(self.levels, ignore_index=ignore_index)
        self._nll = SelfCalibratingBCE(ignore_index=ignore_index)
        self._table: BandTable | None = None  # of the evaluation that is under way
        self._loader: Any = (
            None  # of the last evaluation, which the calibrator is fitted to
        )
        # Of the training, from its begin on.
        self._training = False  # whether it is under way
        self._called = False  # whether it has called the loss
        self._model: nn.Module | None = None
        self._file = Path()  # of its calibrator

    def loss(
        self,
        outputs: Any,
        labels: Any = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Compute the loss of a batch; the ``compute_loss_func`` of the Trainer.

        Args:
            outputs (Any): What the model returns.
            labels (Tensor): ``(N, H, W)`` of {0, 1, ignore_index}.
            num_items_in_batch (Tensor | int, optional): Labels of all the batches whose
                gradients add up, this one included.

        Returns:
            Tensor: Mean over the valid pixels, times the batch's share of these labels.
        """
        self._called = True
        if not isinstance(labels, Tensor):
            raise ValueError(
                'the batch contains no labels: name the column of the masks labels'
            )
        # As the Trainer counts, on one device or (DataParallel) for each.
        share: Tensor | float = 1.0
        if num_items_in_batch is not None:
            share = labels.ne(-100).sum() / torch.as_tensor(num_items_in_batch).sum()

        logits = foreground_logits(outputs, labels.shape[-2:])
        trains = torch.is_grad_enabled()
        if trains and not self._training:
            raise ValueError(
                'the Trainer trains without the callback: give it '
                'callbacks=[calibration] beside compute_loss_func=calibration.loss'
            )
        loss = (self._criterion if trains else self._nll)(logits, labels)
        if not trains:
            self._table = self._table or BandTable()
            unique = images_once(len(labels))
            self._table.update(
                logits[:unique].sigmoid(), labels[:unique], self.ignore_index
            )

        return loss * share

    __call__ = loss  # for compute_loss_func=calibration

    def state(self) -> dict[str, Any]:
        """What goes into ``trainer_state.json``: levels, fingerprint of the weights."""
        fingerprint = None if self._model is None else fingerprint_of(self._model)
        return {
            'args': {},
            'attributes': {**self._levels_state(), 'fingerprint': fingerprint},
        }

    def _levels_state(self) -> dict[str, Any]:
        return {} if self.session is None else self.session.state_dict()

    # The order of the hooks in a training: on_train_begin; after each step on_step_end;
    # in each evaluation on_log, then on_evaluate; on_train_end.

    def on_train_begin(self, args, state, control, model=None, **kwargs) -> None:
        """Check the training; take the levels from the checkpoint, if there is one."""
        file = Path(args.output_dir) / CALIBRATOR_FILE
        self._check_file(file)
        if getattr(model, '_mmaslp_calibrated', False):
            raise ValueError('the model is calibrated: load it anew, then train')
        name = type(self).__name__
        saved = _saved_state(state, name)
        if state.global_step and not same_weights(model, saved.get('fingerprint')):
            raise ValueError(
                'the Trainer has not loaded all weights of the checkpoint, as names in '
                'the file differ (huggingface/transformers issue 43701): load the '
                'model from the checkpoint with from_pretrained, then resume'
            )

        self._file = file
        self._table = None
        self._training = True
        self._called = False
        self._model = model
        self._check_evaluations(args, state)
        if self.session is not None:
            self.session.load_state_dict(saved if state.global_step else self._first)
        state.stateful_callbacks.setdefault(name, self.state())

    def _check_file(self, file: Path) -> None:
        """Refuse to replace a calibrator that is not as a training wrote it."""
        if self._calibrators is None or not file.exists():
            return
        if not written_by_training(file):
            raise FileExistsError(
                f'{file} exists already, and it is not as a training wrote it; this '
                'training would replace it: move or delete it, or name another '
                'output_dir'
            )

    def _check_evaluations(self, args: Any, state: Any) -> None:
        """Refuse too few evaluations for the levels, or none for the calibrator."""
        if self.session is not None:
            remedy = (
                "give TrainingArguments eval_strategy='steps' and lower eval_steps, or "
                'more steps; or SelfCalibration levels=None'
            )
            plan = self.session.plan(evaluations_before_end(args, state))
            plan.check(remedy, self.session.logger)
        elif self._calibrators is not None and args.eval_strategy == 'no':
            raise ValueError(
                'a calibrator is fitted to the evaluation set: give TrainingArguments '
                "eval_strategy='epoch', or SelfCalibration calibrator=False"
            )

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Refuse a Trainer that does not call the loss."""
        if not self._called:
            raise ValueError(
                'the Trainer does not call the loss of SelfCalibration: give it '
                'compute_loss_func=calibration.loss, and a dataset with labels'
            )

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        """Add the figures of an evaluation to its log."""
        prefix = _prefix(logs or {})
        if self._table is not None and prefix is not None:
            figures = self._figures(prefix)
            logs.update(figures)
            state.log_history[-1].update(figures)

    def on_evaluate(self, args, state, control, metrics, **kwargs) -> None:
        """Move the levels."""
        table = self._table
        self._table = None
        prefix = _prefix(metrics)
        if self._training and prefix == self._evaluation:
            self._loader = kwargs['eval_dataloader']
            if self.session is not None:
                self.session.end_validation(table, whole=True)

        # A callback may evaluate other sets, such as the training images.
        elif self._training and str(prefix).startswith('eval'):
            logged = {name for log in state.log_history[:-1] for name in log}
            if self._evaluation == 'eval' or (
                f'{prefix}_loss' in logged and f'{self._evaluation}_loss' not in logged
            ):
                raise ValueError(
                    f'there is an evaluation {prefix!r}, and none '
                    f'{self._evaluation!r}: say which one moves the levels, such as '
                    f'SelfCalibration(evaluation={prefix!r})'
                )

    def on_predict(self, args, state, control, metrics, **kwargs) -> None:
        """Add the figures of a prediction, which is not logged."""
        if self._table is not None:
            metrics.update(self._figures(_prefix(metrics) or 'test'))
        self._table = None

    def on_train_end(self, args, state, control, model=None, **kwargs) -> None:
        """Fit the calibrator and save it; say if the levels have not moved."""
        self._training = False
        if self.session is not None:
            self.session.end_training()
        if args.load_best_model_at_end and state.best_model_checkpoint:
            _load_whole(model, state.best_model_checkpoint)
        if self._calibrators is None or self._loader is None:
            return

        count_set(self._calibrators, model, self._loader)
        self.calibrator = self._calibrators.fit()
        if self.calibrator is not None and state.is_world_process_zero:
            self._calibrators.logger.info(f'ASLP: {self.calibrator.summary()}')
            self.calibrator.save(self._file, overwrite=True)
            note_written(self._file)

    def _figures(self, prefix: str) -> dict[str, float]:
        """Figures of the evaluation; the table becomes that of all processes."""
        self._table = joined(self._table)
        computed = self._table.compute()
        values = {name: computed[name] for name in METRICS}
        if self._training and self.session is not None:
            values |= self.session.scalars()
        return {f'{prefix}_{name}': value for name, value in values.items()}


def _saved_state(state: Any, name: str) -> dict[str, Any]:
    """What the callback of a name has saved in a checkpoint, see `state`."""
    kept = state.stateful_callbacks.get(name, {})
    if isinstance(kept, list):
        raise ValueError(
            'the Trainer has two SelfCalibrations: give it one, whose loss is its '
            'compute_loss_func'
        )
    return kept.get('attributes', {})


def _load_whole(model: Any, checkpoint: str) -> None:
    """Load weights of a checkpoint of which the Trainer may have loaded a part."""
    if not isinstance(model, PreTrainedModel):
        return
    whole = type(model).from_pretrained(checkpoint)
    if not same_weights(model, fingerprint_of(whole)):
        model.load_state_dict(whole.state_dict())


def _prefix(metrics: Mapping[str, Any]) -> str | None:
    """Prefix of the figures of an evaluation; None for those of a training."""
    prefixes = (key.removesuffix('_loss') for key in metrics if key.endswith('_loss'))
    return next((each for each in prefixes if f'{each}_runtime' in metrics), None)
