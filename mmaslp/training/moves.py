"""How levels by band move in a training: whether often enough, and where they end."""

import logging

from ..levels.border import BorderLevels

# Validations between the warm-up and the end: fewer than the least move the levels
# nowhere; with enough of them the levels arrive (docs/levels.md).
LEAST, ENOUGH = 5, 20
_logger = logging.getLogger('mmaslp')


def too_few(moves: int) -> str:
    """Say how often levels by band move, and how often they must."""
    return (
        f'levels by band move after validations only: {max(0, moves)} lie between the '
        'end of the warm-up and that of the training, and the levels take about '
        f'{ENOUGH} to arrive'
    )


def check_moves(moves: int, remedy: str) -> None:
    """Refuse a training with too few validations; warn if they are not enough."""
    message = f'{too_few(moves)}; {remedy}'
    if moves < LEAST:
        raise ValueError(message)
    if moves < ENOUGH:
        _logger.warning(message)


def where_levels_are(levels: BorderLevels) -> str:
    """Say where the levels are, and what they followed."""
    now = ', '.join(f'{level:.4f}' for level in levels.levels.tolist())
    gaps = ', '.join(f'{gap:+.4f}' for gap in levels.gaps)
    return (
        f'levels by band, from the border on: {now}; they follow confidence - '
        f'accuracy, in the last validation {gaps or "unknown"}'
    )
