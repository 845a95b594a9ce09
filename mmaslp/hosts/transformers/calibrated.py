"""A model of transformers whose logits are calibrated."""

from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from ...core.calibrators import Calibrator
from .outputs import resized

CALIBRATOR_FILE = 'calibrator.json'
Model = TypeVar('Model', bound=nn.Module)


def calibrated(model: Model, calibrator: Calibrator | str | Path) -> Model:
    """Let a model return calibrated logits, of the size of its input.

    The model, with one or two logits per pixel, is changed in place and stays of its
    class, so that ``pipeline`` and ``post_process_semantic_segmentation`` take it.
    Bands of distance are those of the mask at the size of the input.

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
    if not isinstance(calibrator, Calibrator):
        file = Path(calibrator).expanduser()
        calibrator = Calibrator.load(file / CALIBRATOR_FILE if file.is_dir() else file)
    calibrate = calibrator.wrap(nn.Identity())

    def hook(module: nn.Module, args: tuple, kwargs: dict[str, Any], outputs: Any):
        logits = getattr(outputs, 'logits', None)
        if logits is None or logits.dim() != 4 or logits.size(1) > 2:
            raise ValueError(
                'a calibrated model must return an output with one or two logits per '
                'pixel: call it with return_dict=True, and load it with num_labels=2'
            )
        pixels = kwargs['pixel_values'] if 'pixel_values' in kwargs else args[0]
        logits = resized(logits, pixels.shape[-2:])
        outputs.logits = calibrate.to(logits.device)(logits)
        return outputs

    model.register_forward_hook(hook, with_kwargs=True)
    model._mmaslp_calibrated = True
    return model
