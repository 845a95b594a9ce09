"""Divides the logits by a fitted temperature while a model is tested."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmseg.registry import HOOKS
from torch import Tensor

from ...core.calibration.temperature import check_temperature
from ...utils.segmentor import check_binary, find_segmentor, replaced
from ...utils.temperature_file import read_temperature

# Key of the undivided scores of a sample until its views are merged.
_PLAIN = 'plain_seg_logits'


@HOOKS.register_module()
class TemperatureHook(Hook):
    r"""Temperature scaling: test with :math:`\sigma(z / T)` for :math:`\sigma(z)`.

    The logits are divided where MMSegmentation (the host) turns them into probabilities
    (``postprocess_result``). So it works for whole and sliding inference, one and two
    channels, and distributed models. Predictions stay those of the undivided logits,
    pixel by pixel, for every ``threshold`` of the head. With test-time augmentation,
    the probabilities of the divided views are averaged, and the prediction is that of
    the undivided views.

    It works in ``runner.test()`` and in a separate ``runner.val()``. It does not change
    the validations of a training run: there the weights still move, and the rules of
    ``ASLPHook`` and ``save_best`` need the network itself.

    Source: `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_.

    Args:
        temperature (float, optional): T > 0; above 1 lowers the confidence. Defaults to
            None: read it from the file.
        file (str, optional): The file that ``tools/fit_temperature.py`` wrote for the
            weights in ``load_from``. Defaults to None: the file beside them.

    Raises:
        ValueError: If both are given, T is not a finite number above 0, the file
            belongs to other weights, a head has more than two channels, or the runner
            has another ``TemperatureHook``.
        FileNotFoundError: If the file does not exist.

    Example:
        >>> custom_hooks = [dict(type='TemperatureHook')]
    """

    def __init__(
        self, temperature: float | None = None, file: str | None = None
    ) -> None:
        if temperature is not None and file is not None:
            raise ValueError('TemperatureHook takes temperature or file, not both')
        if temperature is not None:
            temperature = check_temperature(temperature)
        self.temperature = temperature
        self.file = file
        self._training = self._trained = False
        self._stack = ExitStack()

    def before_run(self, runner: Any) -> None:
        """Forget a training that was interrupted."""
        self._training = False

    def before_train(self, runner: Any) -> None:
        """Do not divide in the validations of this run."""
        self._restore(runner)
        self._training = self._trained = True

    def before_val(self, runner: Any) -> None:
        """Divide in a separate validation."""
        if not self._training:
            self._divide(runner)

    def after_val(self, runner: Any) -> None:
        """Give the model back as it was."""
        self._restore(runner)

    def before_test(self, runner: Any) -> None:
        """Divide."""
        self._divide(runner)

    def after_test(self, runner: Any) -> None:
        """Give the model back as it was."""
        self._restore(runner)

    def _divide(self, runner: Any) -> None:
        self._restore(runner)  # an interrupted test left the model divided
        same = sum(isinstance(hook, TemperatureHook) for hook in runner.hooks)
        if same > 1:
            raise ValueError(
                f'the runner has {same} TemperatureHooks, which would divide the '
                'logits one after the other: keep one of them in custom_hooks'
            )
        temperature = self._find(runner)
        segmentor, tta_model = find_segmentor(runner.model)
        self._stack.enter_context(
            replaced(
                segmentor,
                'postprocess_result',
                _divided(
                    segmentor.postprocess_result, temperature, tta_model is not None
                ),
            )
        )
        if tta_model is not None:
            merge = _merged(tta_model.merge_preds)
            self._stack.enter_context(replaced(tta_model, 'merge_preds', merge))
        runner.message_hub.update_info('temperature', temperature)
        print_log(
            f'TemperatureHook: logits are divided by T = {temperature:.6g}',
            logger='current',
        )

    def _find(self, runner: Any) -> float:
        if self.temperature is not None:
            return self.temperature
        if self._trained:
            raise ValueError(
                'the weights were trained since load_from, so that its temperature is '
                'not theirs: run tools/fit_temperature.py on the new checkpoint and '
                'test that'
            )
        return read_temperature(runner.cfg.get('load_from'), self.file)

    def _restore(self, runner: Any) -> None:
        self._stack.close()
        runner.message_hub.pop_info('temperature')


def _divided(postprocess: Callable, temperature: float, keep_plain: bool) -> Callable:
    """Scores of z / T beside the predictions of z."""

    def divided(seg_logits: Any, data_samples: Any = None) -> list:
        check_binary(seg_logits)
        # The samples are filled in place, so keep what they hold now.
        kept = [
            (sample.pred_sem_seg, sample.seg_logits)
            for sample in postprocess(seg_logits, data_samples)
        ]
        samples = postprocess(seg_logits.float() / temperature, data_samples)
        for sample, (prediction, plain) in zip(samples, kept):
            scores = sample.seg_logits.data
            if len(scores) == 1:
                scores = _on_the_side_of(plain.data, scores)
            sample.set_data(
                dict(pred_sem_seg=prediction, seg_logits=PixelData(data=scores))
                | ({_PLAIN: plain} if keep_plain else {})
            )
        return samples

    return divided


def _on_the_side_of(plain: Tensor, prob: Tensor) -> Tensor:
    """Keep probabilities on the same side of 0.5 as the undivided ones.

    Next to 0.5, rounding would move some to the other side, mostly in half precision.
    """
    above = torch.nextafter(prob.new_tensor(0.5), prob.new_tensor(1.0))
    return torch.where(plain > 0.5, prob.clamp(min=above), prob.clamp(max=0.5))


def _merged(merge: Callable) -> Callable:
    """Merged scores of the views of z / T beside the predictions of those of z."""

    def merged(data_samples_list: Sequence) -> list:
        plain = merge([[*map(_undivided, views)] for views in data_samples_list])
        samples = merge(data_samples_list)
        for sample, other in zip(samples, plain):
            sample.set_data(dict(pred_sem_seg=other.pred_sem_seg))
            sample.pop(_PLAIN)
        return samples

    return merged


def _undivided(view: Any) -> Any:
    copy = view.clone()
    copy.set_data(dict(seg_logits=view.get(_PLAIN)))
    return copy
