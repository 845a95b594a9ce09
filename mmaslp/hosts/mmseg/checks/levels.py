"""The level that images start with, of the hook or of the losses."""

from collections.abc import Iterable

__all__ = ['start_level']


def start_level(
    alpha: float | None,
    of_losses: Iterable[float],
    learns: bool,
    hook: str = 'ASLPHook',
) -> tuple[float, list[str]]:
    """Decide on the level that every image starts with."""
    levels, warnings = set(of_losses), []
    if alpha is not None:
        level = alpha
    elif learns:
        level = 0.0
    else:
        if len(levels) > 1:
            raise ValueError(
                'the SCBCELoss modules have different levels alpha '
                f'{sorted(levels)}: give {hook} the one alpha for all'
            )
        (level,) = levels
        if not level:
            warnings.append(
                f"rule='fixed' with the level 0 perturbs no label; give {hook} or "
                'SCBCELoss an alpha'
            )
    unused = sorted(levels - {0.0, level})
    if unused:
        warnings.append(
            f'SCBCELoss has the level {unused[0]:g} (alpha, or eps / beta), but under '
            f'{hook} every image starts with {level:g}: give the hook alpha, or take '
            'it out of the loss'
        )
    return level, warnings
