"""What a calibrator says of itself: the table of its candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .calibrator import Calibrator

__all__ = ['as_text']

_TITLES = dict(brier='Brier', nll='NLL', ece_band='by band', ece='ECE')


def as_text(calibrator: Calibrator) -> str:
    """Write the table of candidates and the remarks, for people."""
    record = calibrator.record
    head = f'{calibrator.method}, {calibrator.by}, of the {calibrator.target}'
    lines = [f'{head}. {record.get("reason", "")}'.rstrip()]
    if rows := record.get('candidates', []):
        lines += [
            f'Out of fold, {record["images"]} images, {record["pixels"]:,} pixels; '
            'in brackets the 95 % interval of the change:',
            ' ' * 22 + ''.join(f'{title:<25}' for title in _TITLES.values()).rstrip(),
        ]
    for row in rows:
        mark = '>' if row['chosen'] else ' '
        line = f'{mark} {row["method"]:<12}{row["by"]:<8}'
        for key in _TITLES:
            low, high = row[f'{key}_change']
            change = f'[{low:+.4f}, {high:+.4f}]' if low or high else ''
            line += f'{row[key]:.4f} {change:<18}'
        lines.append(line.rstrip())
    lines += [
        f'{remark[0].upper()}{remark[1:]}.' for remark in record.get('remarks', [])
    ]
    return '\n'.join(lines)
