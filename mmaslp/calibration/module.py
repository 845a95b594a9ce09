"""A network that gives calibrated logits, and the fingerprint of a network."""

import warnings
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor, nn

from ..common.arguments import check_bool, check_choice
from ..common.arrays import at_least_float32, checked, one_logit
from ..common.bands import border_bands
from ..common.maps import CHANNELS, IMAGES, UNKNOWN, VOLUMES
from .curves import look_up


def fingerprint_of(network: nn.Module) -> str | None:
    """Hash of the weights and saved buffers, in their order.

    None of a network without weights, and where they are sharded: no process has all.
    """
    if not isinstance(network, nn.Module):
        raise ValueError(f'network must be a module, got {network!r:.100}')
    weights = list(network.parameters())
    if not weights or any(type(weight.data) is not Tensor for weight in weights):
        return None
    digest = blake2b(digest_size=8)
    for value in network.state_dict().values():
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous().flatten()
            digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def same_weights(network: nn.Module, saved: object) -> bool:
    """Whether weights are those of a fingerprint; True if that is not known.

    Files of version 0.5 hold a number, which says nothing of order, sign and buffers.
    """
    return not isinstance(saved, str) or fingerprint_of(network) in (None, saved)


def check_weights(network: nn.Module, saved: object) -> None:
    """Warn if a calibrator is known to be fitted to other weights."""
    if not same_weights(network, saved):
        warnings.warn(
            'the calibrator was fitted to a network of other weights, or of another '
            'precision: a calibrator belongs to one set of weights, so fit it again',
            stacklevel=4,
        )


def marked(calibrated: Tensor) -> Tensor:
    """Let a tensor say that it is calibrated, where nothing is being compiled.

    What is computed from it, such as one image of a batch, does not say so.
    """
    if not torch.compiler.is_compiling():
        calibrated.is_calibrated = True  # type: ignore[attr-defined]
    return calibrated


def versions_of(network: nn.Module) -> list[tuple[int, int]]:
    """What changes when a weight or buffer is written to or replaced, in no time.

    Writing to the ``.data`` of a weight leaves no trace.
    """
    return [
        (id(value), 0 if value.is_inference() else value._version)
        for value in (*network.parameters(), *network.buffers())
    ]


# What gives other values in training.
_RANDOM = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def is_calibrated(network: nn.Module) -> bool:
    """Whether a network, or a part of it, returns calibrated logits."""
    for layer in network.modules():
        if isinstance(layer, CalibratedModule) or hasattr(layer, '_mmaslp_calibrated'):
            return True
    return False


def refuse_calibrated_network(network: nn.Module) -> None:
    """Refuse a network whose logits no calibrator is fitted to."""
    if is_calibrated(network):
        raise ValueError(
            'the network is calibrated already: load it anew, and fit to what it '
            'returns then'
        )


def warn_of_training(network: nn.Module) -> None:
    """Warn of a network whose logits are those of a training."""
    if any(
        layer.training and isinstance(layer, _RANDOM) for layer in network.modules()
    ):
        warnings.warn(
            'the network is in training mode, where dropout and batches change its '
            'logits: call eval() first',
            stacklevel=3,
        )


class CalibratedModule(nn.Module):
    """Calibrate the logits that a module returns; made by ``Calibrator.wrap``.

    ``torch.export`` and ``torch.onnx.export`` keep it, with any number of images. A
    calibrator by band keeps the height and width of the example, since the width of the
    bands scales with the image: a model of dynamic size is refused by the exporter, or
    by what runs it. Calibrated logits of half precision are float32. Cast the network
    before it is wrapped: a cast of both rounds the calibrator.

    Args:
        module (nn.Module): Returns logits ``(N, H, W)``, or ``(N, C, H, W)``, of
            volumes ``(N, C, D, H, W)``: C = 2 channels are background and foreground,
            and keep their mean.
        table (Tensor): That of the calibrator.
        independent (bool): Whether two channels are independent binary ones. Defaults
            to False.
        with_raw (bool): Whether to return the logits of the module too, before the
            calibrated ones: a review takes those. Defaults to False.
        kind (str): What the calibrator was fitted to: 'images' takes no volumes, and
            'channels' are independent. Defaults to 'unknown'.
        network (str, optional): Fingerprint of the weights of the fit. The first call
            after ``train()`` or ``eval()``, and one after a weight or buffer has
            changed, warns if they are not those. Writing to ``.data`` is seen at the
            next ``eval()``. Defaults to None.
    """

    table: Tensor

    def __init__(
        self,
        module: nn.Module,
        table: Tensor,
        independent: bool = False,
        with_raw: bool = False,
        kind: str = UNKNOWN,
        network: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module) or is_calibrated(module):
            raise ValueError(
                'wrap needs a module that is not wrapped and contains no wrapped one, '
                f'got {module!r:.100}'
            )

        self.module = module
        check_choice('kind', kind, (IMAGES, VOLUMES, CHANNELS, UNKNOWN))
        self.kind = kind
        self.independent = check_bool('independent', independent) or kind == CHANNELS
        self.with_raw = check_bool('with_raw', with_raw)
        self.register_buffer('table', table.float())
        self._seen = False
        self._network = network
        self._versions = versions_of(module)

    def train(self, mode: bool = True) -> 'CalibratedModule':
        """See :class:`torch.nn.Module`; the next call looks at the weights again."""
        self._versions = []
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move the table with the module, but never cast it: that would round it."""
        exact = self.table
        super()._apply(fn, recurse)
        if self.table.dtype != exact.dtype:
            self.table = exact.to(self.table.device)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor, Tensor]:
        """Run the module and calibrate what it returns."""
        logit = self.module(*args, **kwargs)
        self._check_axes(logit)
        calibrated = marked(self._calibrate_channels(logit))

        is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if not logit.is_meta and not is_traced:
            self._check_network()
            self._check_first(logit)
        if self.with_raw:
            return logit, calibrated
        return calibrated

    def _check_network(self) -> None:
        """Warn of other weights than those of the fit, if any may have changed."""
        if not self._network or self.module.training:
            return
        versions = versions_of(self.module)
        if versions != self._versions:  # trained on, or loaded
            self._versions = versions
            check_weights(self.module, self._network)

    def _check_first(self, logit: Tensor) -> None:
        """Look at the values of the first call: to look takes time."""
        if self._seen:
            return
        self._seen = True
        warn_of_training(self.module)
        checked(logit.detach().nan_to_num(), logits=True)

    def _check_axes(self, logit: Tensor) -> None:
        """Refuse what is no batch of logits of images or volumes."""
        is_floating = isinstance(logit, Tensor) and logit.is_floating_point()
        most_axes = 5
        if self.kind == IMAGES:
            most_axes = 4
        if not is_floating or not 3 <= logit.dim() <= most_axes:
            returned = (type(logit).__name__, *getattr(logit, 'shape', ()))
            raise ValueError(
                'the module must return one tensor of logits, floating point, '
                '(N, H, W), (N, C, H, W) or, for a calibrator of volumes, '
                f'(N, C, D, H, W), and it returns {returned}: wrap one that does (of '
                'transformers: mmaslp.integrations.transformers.calibrated)'
            )

    def _calibrate_channels(self, logit: Tensor) -> Tensor:
        """Calibrate binary maps, or the two logits of a softmax as one."""
        # Half precision rounds what is hardly foreground to 1/2.
        logit = at_least_float32(logit)
        if self.independent or logit.dim() == 3 or logit.shape[1] < 2:
            return self._calibrated(logit)

        if logit.shape[1] > 2:
            raise ValueError(
                f'the module returns {logit.shape[1]} channels: wrap one of 1 or 2 '
                '(num_labels), or say independent=True if each is a binary map'
            )
        half = self._calibrated(one_logit(logit)) / 2
        mean = logit.mean(1)
        return torch.stack([mean - half, mean + half], 1)

    def _calibrated(self, logit: Tensor) -> Tensor:
        bands = None
        if self.table.shape[1] > 1:
            masks = logit.reshape(-1, *logit.shape[-2:]) > 0
            bands = border_bands(masks).view(logit.shape)

        table = self.table
        if table.device != logit.device:  # of a network that was moved, then wrapped
            table = table.to(logit.device)
        return look_up(logit.float(), bands, table).to(logit.dtype)
