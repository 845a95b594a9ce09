"""Local temperature scaling: a temperature per pixel or image, fitted on validation."""

import copy
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmaslp.hosts.mmseg.segmentor import find_segmentor, replaced
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmaslp.core.levels.inputs import binary_logits
from mmaslp.hosts.mmseg.runs import build_runner, name_run

__all__ = ['LocalTemperature', 'LocalTemperatureHook', 'fit_lts', 'fit_pixels']

_IGNORED = 255


class LocalTemperature(nn.Module):
    r"""Temperature of every pixel, from the logits around it and from the image.

    .. math:: T = \mathrm{ReLU}(t + 1) + 10^{-8}

    where t is a tree of convolutions of 5 x 5 pixels with dilation 2: four leaves of
    the logits are mixed in pairs, the two pairs are mixed, and that with a leaf of the
    image. Each mixture is weighed by the sigmoid of a convolution of the logits. A leaf
    is 1 plus its convolution, and all weights start at 0, so that T starts at 2.

    The logits are those of a binary head, reduced to the one of the foreground.

    Args:
        per_image (bool): Take the mean of t over the image (IBTS). Defaults to False.

    Source: `Local Temperature Scaling for Probability Calibration
    <https://arxiv.org/abs/2008.05105>`_ (ICCV 2021); as in the authors' code, but their
    mean of IBTS is over the batch.
    """

    def __init__(self, per_image: bool = False) -> None:
        super().__init__()
        self.per_image = per_image
        self.leaves = _convolution(1, 4)
        self.gates = _convolution(1, 4)
        self.image_leaf = _convolution(3, 1)

    def forward(self, logits: Tensor, images: Tensor) -> Tensor:
        """Compute the temperature.

        Args:
            logits (Tensor): Of the foreground, ``(N, 1, H, W)``; sides above 4.
            images (Tensor): As the network gets them, ``(N, 3, H, W)``.

        Returns:
            Tensor: ``(N, 1, H, W)``, above 0; ``(N, 1, 1, 1)`` for a value per image.
        """
        a, b, c, d = (1 + self.leaves(logits)).split(1, 1)
        first, second, both, whole = torch.sigmoid(self.gates(logits)).split(1, 1)
        mixed = torch.lerp(torch.lerp(d, c, second), torch.lerp(b, a, first), both)
        found = torch.lerp(1 + self.image_leaf(images), mixed, whole)
        if self.per_image:
            found = found.mean((1, 2, 3), keepdim=True)
        return F.relu(found + 1) + 1e-8


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 5, padding=4, padding_mode='reflect', dilation=2)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def fit_lts(
    cfg: Config, file: str | Path, per_image: bool = False, epochs: int = 200
) -> dict[str, float]:
    """Fit local temperatures of a checkpoint on its validation set.

    By the authors' recipe: least negative log-likelihood, Adam with a rate of 1e-4, 200
    epochs in batches of 4. Pixels are those of the network's input: masks are scaled to
    it, the nearest pixel counts.

    Args:
        cfg (Config): Config with ``load_from``, ``work_dir`` and ``val_dataloader``. It
            is left as it is.
        file (str | Path): Where to write the weights, for
            :class:`LocalTemperatureHook`.
        per_image (bool): See :class:`LocalTemperature`. Defaults to False.
        epochs (int): Passes over the validation images. Defaults to 200.

    Returns:
        dict[str, float]: ``before`` and ``after``, the loss on the validation images in
        nats per pixel.

    Raises:
        ValueError: If the validation images differ in size or have no labelled pixel.
    """
    logits, images, labels = _validation_pixels(cfg)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    with torch.enable_grad():
        module, losses = fit_pixels(logits, images, labels, per_image, epochs, seed)
    torch.save(dict(per_image=per_image, weights=module.state_dict()), file)
    return losses


def fit_pixels(
    logits: Tensor,
    images: Tensor,
    labels: Tensor,
    per_image: bool = False,
    epochs: int = 200,
    seed: int = 0,
) -> tuple[LocalTemperature, dict[str, float]]:
    """Fit to logits at hand, see :func:`fit_lts`.

    Args:
        logits (Tensor): ``(N, 1, H, W)``.
        images (Tensor): ``(N, 3, H, W)``.
        labels (Tensor): 0, 1 or 255, ``(N, 1, H, W)``.
        per_image (bool): See :class:`LocalTemperature`. Defaults to False.
        epochs (int): Passes over the images. Defaults to 200.
        seed (int): Of their order. Defaults to 0.

    Returns:
        tuple[LocalTemperature, dict[str, float]]: The module; loss before and after.

    Raises:
        ValueError: If no pixel is labelled.
    """
    if not (labels != _IGNORED).any():
        raise ValueError('the validation images have no labelled pixel to fit to')
    module = LocalTemperature(per_image)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(seed)

    def loss(index: Tensor, temperature: Tensor) -> Tensor:
        return _nll(logits[index] / temperature, labels[index])

    def total(scaled: bool) -> float:
        """Mean over the pixels of all images."""
        with torch.no_grad():
            found = 0.0
            for index in torch.arange(len(logits)).split(4):
                one = torch.ones(())
                own = module(logits[index], images[index]) if scaled else one
                found += float(loss(index, own))
        return found / int((labels != _IGNORED).sum())

    before = total(scaled=False)
    for _ in range(epochs):
        for index in torch.randperm(len(logits), generator=generator).split(4):
            number = (labels[index] != _IGNORED).sum().clamp_min(1)
            mean = loss(index, module(logits[index], images[index])) / number
            optimizer.zero_grad()
            mean.backward()
            optimizer.step()
    return module, dict(before=before, after=total(scaled=True))


def _nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over the labelled pixels."""
    valid = labels != _IGNORED
    loss = F.binary_cross_entropy_with_logits(
        logits, (labels == 1).to(logits.dtype), reduction='none'
    )
    return loss.masked_fill(~valid, 0.0).sum()


def _validation_pixels(cfg: Config) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, images and labels of the validation set, at the size of the input."""
    run = copy.deepcopy(cfg)
    name_run(run, 'lts')
    run.test_dataloader = run.val_dataloader
    run.test_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
    run.test_evaluator = []
    run.resume = False
    runner = build_runner(run)
    segmentor, _ = find_segmentor(runner.model)
    infer, postprocess = segmentor.inference, segmentor.postprocess_result
    found: list[tuple[Tensor, Tensor]] = []
    labels: list[Tensor] = []

    def keep(inputs: Tensor, metas: Any) -> Tensor:
        scores = infer(inputs, metas)
        logits = binary_logits(scores).unsqueeze(1)
        found.extend(zip(logits.cpu(), inputs.cpu()))
        return scores

    def keep_labels(scores: Tensor, data_samples: Any) -> list:
        labels.extend(_label(sample).cpu() for sample in data_samples)
        return postprocess(scores, data_samples)

    with ExitStack() as stack:
        stack.enter_context(replaced(segmentor, 'inference', keep))
        stack.enter_context(replaced(segmentor, 'postprocess_result', keep_labels))
        runner.test()
    logits, images = zip(*found)
    if len({tuple(each.shape) for each in logits}) > 1:
        raise ValueError(
            'local temperatures are fitted to images of one size: put '
            "dict(type='Resize', keep_ratio=False) in the pipeline of val_dataloader"
        )
    return torch.stack(logits), torch.stack(images), torch.stack(labels)


def _label(sample: Any) -> Tensor:
    """Labels of a sample at the size of the network's input, (1, H, W)."""
    label = sample.gt_sem_seg.data
    shape = tuple(sample.metainfo['img_shape'][:2])
    padding = list(sample.metainfo.get('img_padding_size', (0, 0, 0, 0)))
    label = F.interpolate(label[None].float(), size=shape, mode='nearest-exact')[0]
    return F.pad(label, padding, value=_IGNORED).to(torch.uint8)


@HOOKS.register_module()
class LocalTemperatureHook(Hook):
    """Divides the logits of every pixel by its own temperature in tests.

    Args:
        file (str): What :func:`fit_lts` wrote for the weights of the run.

    Example:
        >>> custom_hooks = [dict(type='LocalTemperatureHook', file='lts.pth')]
    """

    def __init__(self, file: str) -> None:
        saved = torch.load(file, weights_only=True)
        self.module = LocalTemperature(saved['per_image'])
        self.module.load_state_dict(saved['weights'])
        self._stack = ExitStack()

    def before_test(self, runner: Any) -> None:
        """Let the model divide."""
        self._stack.close()  # a test that was cut short left it as it was
        segmentor, _ = find_segmentor(runner.model)
        infer = segmentor.inference

        def divided(inputs: Tensor, metas: Any) -> Tensor:
            scores = infer(inputs, metas)
            logits = binary_logits(scores).unsqueeze(1)
            return scores / self.module.to(inputs.device)(logits, inputs)

        self._stack.enter_context(replaced(segmentor, 'inference', divided))

    def after_test(self, runner: Any) -> None:
        """Give the model back as it was."""
        self._stack.close()
