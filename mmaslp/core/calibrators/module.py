"""A network whose logits are calibrated, as one module."""

from typing import Any

import torch
from torch import Tensor, nn

from ..bands import border_bands
from .lookup import look_up


class CalibratedModule(nn.Module):
    """Calibrate the logits that a module returns; made by ``Calibrator.wrap``.

    ``torch.export`` and ONNX keep it. Exported with bands it holds for one height and
    width, since the width of the bands scales with the image.

    Args:
        module (nn.Module): Returns logits ``(N, H, W)``, or ``(N, C, H, W)``: C = 2
            channels are background and foreground, and keep their mean.
        table (Tensor): That of the calibrator.
        independent (bool): Whether two channels are independent binary ones. Defaults
            to False.
    """

    table: Tensor

    def __init__(
        self, module: nn.Module, table: Tensor, independent: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise ValueError(f'wrap takes a module, got {module!r}')
        self.module = module
        self.independent = independent
        self.register_buffer('table', table.float())

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run the module and calibrate what it returns."""
        logit = self.module(*args, **kwargs)
        if not isinstance(logit, Tensor) or not logit.is_floating_point():
            raise ValueError(
                'the module must return one tensor of logits, not '
                f'{getattr(logit, "dtype", type(logit).__name__)}: wrap one that does'
            )
        if logit.dim() == 4 and logit.shape[1] == 2 and not self.independent:
            half = self._calibrated(logit[:, 1] - logit[:, 0]) / 2
            mean = logit.mean(1)
            return torch.stack([mean - half, mean + half], 1)
        if logit.dim() == 4 and logit.shape[1] > 2 and not self.independent:
            raise ValueError(
                f'the module returns {logit.shape[1]} channels: wrap one of 1 or 2, or '
                'say independent=True if each is a binary map'
            )
        return self._calibrated(logit)

    def _calibrated(self, logit: Tensor) -> Tensor:
        maps = logit.reshape(-1, *logit.shape[-2:]).float()
        bands = border_bands(maps > 0) if self.table.shape[1] > 1 else None
        found = look_up(maps, bands, self.table)
        return found.view(logit.shape).to(logit.dtype)
