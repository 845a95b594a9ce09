"""What is fitted to a trained network on validation and then tested beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lts import fit_lts
from mmaslp.hosts.mmseg.temperature import fit_checkpoint
from mmengine.config import Config

__all__ = ['POST_HOC', 'fit']

# Of the record, and the hook that applies what was fitted.
Fitted = tuple[dict[str, Any], dict[str, Any]]


def _temperature(cfg: Config) -> Fitted:
    temperature = fit_checkpoint(cfg)['temperature']
    hook = dict(type='TemperatureHook', temperature=temperature)
    return dict(temperature=temperature), hook


def _border_temperatures(cfg: Config) -> Fitted:
    file = str(Path(cfg.work_dir).resolve() / 'rts.json')
    record = fit_checkpoint(cfg, out=file, regions='border')
    return dict(regions=record['regions']), dict(type='TemperatureHook', file=file)


def _local(cfg: Config, name: str) -> Fitted:
    file = str(Path(cfg.work_dir).resolve() / f'{name}.pth')
    losses = fit_lts(cfg, file, per_image=name == 'ibts')
    return {name: losses}, dict(type='LocalTemperatureHook', file=file)


# By the ending that tables give to the method.
POST_HOC: dict[str, Callable[[Config], Fitted]] = {
    'ts': _temperature,
    'rts': _border_temperatures,
    'lts': lambda cfg: _local(cfg, 'lts'),
    'ibts': lambda cfg: _local(cfg, 'ibts'),
}


def fit(name: str, cfg: Config) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Fit one; validation images that allow no fit cost the run nothing.

    Args:
        name (str): Of :data:`POST_HOC`.
        cfg (Config): Config of the run, with ``load_from`` set.

    Returns:
        tuple[dict, dict | None]: What the record says of it, and the hook, None without
        a fit.
    """
    try:
        return POST_HOC[name](cfg)
    except ValueError as error:
        missing = {'temperature': None} if name == 'ts' else {}
        reason = 'temperature' if name == 'ts' else name
        return dict(missing, **{f'no_{reason}': str(error)}), None
