"""Divides the logits by a fitted temperature while a model is tested."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmseg.registry import HOOKS

from ....core.argument_checks import check_bool, check_path, optional
from ....core.measure.border_temperature import (
    Temperature,
    as_temperature,
    temperature_record,
    temperature_text,
)
from ....files.temperature_file import read_temperature
from ..divided_scores import divided_scores
from ..segmentor import find_segmentor, replaced

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

    A temperature per band of distance from the predicted border is looked up at the
    resolution of the probabilities, in every view by the view's own border.

    Source: `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_.

    Args:
        temperature (float | dict, optional): T in [2**-10, 2**10]; above 1 lowers the
            confidence. By region: ``regions`` of a file of
            ``mmaslp fit-temperature``. Defaults to None: read it.
        file (str, optional): What ``mmaslp fit-temperature`` wrote for the weights
            in ``load_from``. Defaults to None: the file beside them.
        regions (bool): Whether to take the temperatures by region where the file has
            them; False takes its single one. Defaults to True.

    Raises:
        ValueError: If both are given, a T is no number in its range, the file belongs
            to other weights, a head has more than two channels, or the runner has
            another ``TemperatureHook``.
        FileNotFoundError: If there is no file.

    Example:
        >>> custom_hooks = [dict(type='TemperatureHook')]
    """

    def __init__(
        self,
        temperature: float | Mapping[str, Any] | None = None,
        file: str | None = None,
        regions: bool = True,
    ) -> None:
        if temperature is not None and file is not None:
            raise ValueError('TemperatureHook takes temperature or file, not both')
        if temperature is not None:
            temperature = as_temperature(temperature)
        self.temperature = temperature
        self.file = optional(check_path, 'file', file)
        self.regions = check_bool('regions', regions)
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
                divided_scores(
                    segmentor.postprocess_result,
                    temperature,
                    None if tta_model is None else _PLAIN,
                ),
            )
        )
        if tta_model is not None:
            merge = _merged(tta_model.merge_preds)
            self._stack.enter_context(replaced(tta_model, 'merge_preds', merge))
        runner.message_hub.update_info('temperature', temperature_record(temperature))
        shown = temperature_text(temperature)
        print_log(
            f'TemperatureHook: logits are divided by T = {shown}', logger='current'
        )

    def _find(self, runner: Any) -> Temperature:
        if self.temperature is not None:
            return self.temperature
        if self._trained:
            raise ValueError(
                'the weights were trained since load_from, so that its temperature is '
                'not theirs: run mmaslp fit-temperature on the new checkpoint and '
                'test that'
            )
        return read_temperature(runner.cfg.get('load_from'), self.file, self.regions)

    def _restore(self, runner: Any) -> None:
        self._stack.close()
        runner.message_hub.pop_info('temperature')


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
