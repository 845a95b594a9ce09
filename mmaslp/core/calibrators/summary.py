"""What a calibrator says of itself, for people."""

from typing import Any

_TITLES = dict(ece='ECE', ece_band='ECE by band', brier='Brier score', nll='NLL')
_MASKS = dict(
    keep='masks of the network',
    accuracy='calibrated probability above 1/2',
    dice='mask of the largest expected Dice',
)


def as_text(name: str, record: dict[str, Any]) -> str:
    """Write the reason, the table of candidates and the remarks."""
    lines = [f'{name}.', *filter(None, [record.get('reason')])]
    if rows := record.get('candidates'):
        lines += [
            f'Measured on images that the map was not fitted to: {record["images"]} '
            f'images, {record["pixels"]:,} pixels.',
            'Lower is better; in brackets the 95 % interval of the change from '
            'identity; > is the choice.',
            'single: one map for all pixels; band: one for each band of distance from '
            'the border.',
            ' ' * 22 + ''.join(f'{each:<26}' for each in _TITLES.values()).rstrip(),
        ]
        lines += [_line(row) for row in rows]
    if masks := record.get('masks'):
        lines.append(_masks(masks))
    return '\n'.join([*lines, *record.get('remarks', [])])


def _masks(masks: dict[str, Any]) -> str:
    known = {name: each for name, each in masks.items() if name != 'images'}
    best = max(known, key=lambda name: known[name]['dice'])
    found = (
        f'{_MASKS[name]} {each["dice"]:.4f} (IoU {each["iou"]:.4f})'
        for name, each in known.items()
    )
    return (
        f'Mean Dice of {masks["images"]} images: {", ".join(found)}; '
        f'apply --masks {best} writes those of the highest Dice beside the maps.'
    )


def _line(row: dict[str, Any]) -> str:
    line = f'{">" if row["chosen"] else " "} {row["method"]:<12}{row["by"]:<8}'
    for key in _TITLES:
        low, high = row[f'{key}_change']
        change = f'[{low:+.4f}, {high:+.4f}]' if low or high else ''
        line += f'{row[key]:.4f} {change:<19}'
    return line.rstrip()
