#!/usr/bin/env python
"""Measure the calibration of a model on corrupted test images.

The corruptions are those of ImageNet-C; a temperature stays as it was fitted on clean
images. What the JSON file holds is not measured again, so that an interrupted call goes
on, and one file takes many models:

    python benchmarks/shift.py CONFIG CHECKPOINT --name bce --json shift.json
    python benchmarks/shift.py CONFIG CHECKPOINT --name bce+ts --temperature \
        --json shift.json
    python benchmarks/shift.py --json shift.json    # table and picture only

Several checkpoints of one name are runs of one method; the table gives their mean.
"""

import argparse
import copy
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lts  # noqa: F401 - registers its hook
from corruption import COMMON, corruptions
from jobs import positive
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmaslp.files.temperature_file import fingerprint
from mmaslp.hosts.mmseg.checks.parts import is_type, metrics_of
from mmaslp.hosts.mmseg.temperature import apply_temperature
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from records import read_json, write_rows
from tables import COLUMNS, cell, lay_out

from mmaslp.commands.arguments import add_cfg_options
from mmaslp.commands.errors import exit_on_user_error
from mmaslp.hosts.mmseg.config import check_checkpoint, load_config
from mmaslp.hosts.mmseg.testing import TestSet, evaluate
from mmaslp.report.style import save_figure

KEYS = ('ece', 'ece_band', 'ece_em', 'nll', 'acc')
CLEAN = ('none', 0)
# What all rows of a file have in common.
_WHOLE = ('data', 'images', 'seed')

# One evaluation: what was measured of which model on which images.
Row = dict[str, Any]
# {method: {severity: {figure: [value of each checkpoint]}}}
Shift = dict[str, dict[int | str, dict[str, list[float | None]]]]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--name', help='of the method; by default that of the config')
    parser.add_argument(
        '--temperature',
        nargs='?',
        const='',
        help='a number or a file; without a value the file beside the checkpoint',
    )
    parser.add_argument('--local-temperature', metavar='FILE', help='of lts.py')
    parser.add_argument(
        '--data', help='folder with test; by default that of the config'
    )
    parser.add_argument('--corruptions', nargs='+', default=list(COMMON))
    parser.add_argument(
        '--severities', nargs='+', type=int, choices=range(1, 6), default=[1, 3, 5]
    )
    parser.add_argument('--images', type=positive, help='take the first N only')
    parser.add_argument('--seed', type=int, default=0, help='of the corruptions')
    parser.add_argument('--loader-workers', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/shift'))
    parser.add_argument('--json', type=Path, help='raw results, read and added to')
    add_cfg_options(parser)
    args = parser.parse_args()
    if (args.config is None) != (args.checkpoint is None):
        parser.error('give a config and a checkpoint, or neither')
    args.json = args.json or args.out / 'shift.json'
    return args


def read_rows(path: Path) -> list[Row]:
    """Read what earlier calls measured.

    Raises:
        ValueError: If the file is none of this script.
    """
    rows = read_json(path) if path.exists() else []
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and 'corruption' in row for row in rows
    ):
        raise ValueError(f'{path} is no file of this benchmark: name another')
    return rows


def make_config(args: argparse.Namespace) -> Config:
    """Config of the tests, with the checkpoint, the data and the temperature put in."""
    cfg = load_config(args.config, args.cfg_options)
    cfg = Config(cfg.to_dict(), filename=args.config, format_python_code=False)
    check_checkpoint(args.checkpoint)
    cfg.update(load_from=args.checkpoint, resume=False, launcher='none')
    cfg.log_level = 'WARNING'
    cfg.default_hooks.pop('visualization', None)
    if cfg.get('visualizer') is not None:
        cfg.visualizer.vis_backends = []
    loader = cfg.test_dataloader
    loader.update(
        num_workers=args.loader_workers, persistent_workers=args.loader_workers > 0
    )
    if args.data:
        loader.dataset.data_root = args.data
    if args.images:
        loader.dataset.indices = args.images
    given = metrics_of(cfg, 'test_evaluator')
    own = next((m for m in given if is_type(m, 'CalibrationMetric')), {})
    cfg.test_evaluator = [dict(own, type='CalibrationMetric', draw=False)]
    if args.temperature is not None:
        apply_temperature(cfg, args.temperature)
    if args.local_temperature:
        hook = dict(type='LocalTemperatureHook', file=args.local_temperature)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    return cfg


def describe(args: argparse.Namespace, cfg: Config) -> Row:
    """What the rows of a model have in common."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(copy.deepcopy(cfg.test_dataloader.dataset))
    folder = Path(dataset.get_data_info(0)['img_path']).resolve().parent
    hooks = cfg.get('custom_hooks') or []
    fitted = next((h for h in hooks if is_type(h, 'TemperatureHook')), {})
    local = args.local_temperature
    ending = ('+ts' if args.temperature is not None else '') + ('+lts' if local else '')
    return dict(
        name=args.name or Path(args.config).stem + ending,
        checkpoint=fingerprint(args.checkpoint)[:12],
        temperature={k: v for k, v in fitted.items() if k != 'type'} or None,
        local=fingerprint(local)[:12] if local else None,
        data='/'.join(folder.parts[-3:]),
        images=len(dataset),
        seed=args.seed,
    )


def corrupted(cfg: Config, corruption: str, severity: int, seed: int) -> dict:
    """The test set with its images corrupted as they are loaded.

    Raises:
        ValueError: If its pipeline does not begin by loading the image.
    """
    dataset = copy.deepcopy(cfg.test_dataloader.dataset)
    if (corruption, severity) == CLEAN:
        return dataset
    pipeline = list(dataset.pipeline)
    if not pipeline or not is_type(pipeline[0], 'LoadImageFromFile'):
        raise ValueError(
            'the pipeline of test_dataloader has to begin with LoadImageFromFile: '
            'corruptions act on the image of the file'
        )
    step = dict(
        type='CorruptImage', corruption=corruption, severity=severity, seed=seed
    )
    dataset.pipeline = [pipeline[0], step, *pipeline[1:]]
    return dataset


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Add the rows of a model that are missing, each as soon as it is there.

    Raises:
        ValueError: If a corruption is unknown, or the file has rows of the same name
            and checkpoint with another temperature, or of other images.
    """
    known = corruptions().get_corruption_names('all')
    unknown = [name for name in args.corruptions if name not in known]
    if unknown:
        raise ValueError(f'no corruption {", ".join(unknown)}, there are {known}')
    cfg = make_config(args)
    own = describe(args, cfg)
    check_rows(rows, own, args.json)
    cfg.work_dir = str(args.out / f'{own["name"]}_{own["checkpoint"]}')
    wanted = [CLEAN]
    wanted += [(c, s) for c in args.corruptions for s in sorted(args.severities)]
    there = {
        (row['corruption'], row['severity'])
        for row in rows
        if all(row[key] == own[key] for key in own)
    }
    left = [each for each in dict.fromkeys(wanted) if each not in there]
    print(f'{len(wanted) - len(left)} of {len(wanted)} sets are there', flush=True)
    for corruption, severity in left:
        name = f'{corruption}_{severity}'
        dataset = corrupted(cfg, corruption, severity, args.seed)
        found = evaluate(cfg, [TestSet(name, dataset)])[name]
        figures = {
            key: None if math.isnan(value) else value
            for key, value in found['metrics'].items()
        }
        row = dict(own, corruption=corruption, severity=severity, figures=figures)
        rows.append(row)
        write_rows(args.json, rows)
        print(f'{own["name"]}, {name}: ECE {figures["ece"]:.4f}', flush=True)


def check_rows(rows: Sequence[Row], own: Row, path: Path) -> None:
    """Make sure that the rows of a model can stand beside those of a file.

    Raises:
        ValueError: If they cannot.
    """
    for row in rows:
        for key in _WHOLE:
            if row[key] != own[key]:
                raise ValueError(
                    f'{path} holds rows of another {key} ({row[key]}, now '
                    f'{own[key]}): give another --json'
                )
        if (row['name'], row['checkpoint']) != (own['name'], own['checkpoint']):
            continue
        if any(row[key] != own[key] for key in own):
            raise ValueError(
                f'{path} holds rows of {own["name"]} with another temperature: give '
                'another --name'
            )


def summarise(rows: Sequence[Row]) -> tuple[Shift, list[str]]:
    """Mean over the corruptions, for each method, severity, figure and checkpoint.

    Returns:
        tuple[Shift, list[str]]: The figures, where the severities are 0 (clean) and
        those that all methods have, and 'mean' over those above 0; and the corruptions
        that every checkpoint has at each of these severities, which count.
    """
    runs: dict[tuple[str, str], dict] = defaultdict(dict)
    for row in rows:
        place = row['corruption'], row['severity']
        runs[row['name'], row['checkpoint']][place] = row['figures']
    severities = set.intersection(*({s for _, s in run if s} for run in runs.values()))
    shared = set.intersection(
        *(
            {c for c, s in run if s and all((c, s) in run for s in severities)}
            for run in runs.values()
        )
    )
    found: Shift = {}
    for (name, _), run in runs.items():
        means = {
            severity: _mean([run[c, severity] for c in sorted(shared)])
            for severity in sorted(severities)
            if shared
        }
        if means:
            means['mean'] = _mean([*means.values()])
        if CLEAN in run:
            means = {0: run[CLEAN], **means}
        for severity, figures in means.items():
            for key, value in figures.items():
                by_key = found.setdefault(name, {}).setdefault(severity, {})
                by_key.setdefault(key, []).append(value)
    return found, sorted(shared)


def _mean(figures: Sequence[dict]) -> dict[str, float | None]:
    keys = [key for key in KEYS if all(key in each for each in figures)]
    columns = {key: [each[key] for each in figures] for key in keys}
    return {k: None if None in c else statistics.fmean(c) for k, c in columns.items()}


def markdown(found: Shift) -> str:
    """Lay out :func:`summarise`: a row for each method and severity."""
    keys = _measured(found)
    rows = [
        [name, 'clean' if severity == 0 else str(severity)]
        + [cell(key, dict(enumerate(figures.get(key, [])))) for key in keys]
        for name, severities in found.items()
        for severity, figures in severities.items()
    ]
    return lay_out(['method', 'severity', *(COLUMNS[key] for key in keys)], rows)


def _measured(found: Shift) -> list[str]:
    return [
        key
        for key in KEYS
        if any(key in figures for each in found.values() for figures in each.values())
    ]


def picture(found: Shift) -> Figure:
    """One panel for each figure, against the severity; a line for each method."""
    keys = _measured(found)
    figure = Figure(figsize=(2.6 * len(keys), 2.6), layout='constrained')
    FigureCanvasAgg(figure)
    (row,) = figure.subplots(1, len(keys), squeeze=False)
    for axes, key in zip(row, keys):
        for name, severities in found.items():
            points = [
                (severity, statistics.fmean(figures[key]))
                for severity, figures in severities.items()
                if severity != 'mean' and None not in figures.get(key, [None])
            ]
            if points:
                axes.plot(*zip(*points), marker='o', markersize=3, label=name)
        shown = {s for each in found.values() for s in each if s != 'mean'}
        axes.set_xticks(sorted(shown))
        axes.set_title(COLUMNS[key], fontsize=9)
        axes.tick_params(labelsize=7)
    row[0].legend(fontsize=7)
    figure.supxlabel('severity of the corruptions (0: clean)', fontsize=8)
    return figure


@exit_on_user_error
def main() -> None:
    """Measure what is missing, then write the table and the picture of all rows."""
    args = parse_args()
    rows = read_rows(args.json)
    if args.config is not None:
        measure(args, rows)
    if not rows:
        raise ValueError(f'nothing in {args.json}: give a config and a checkpoint')
    found, shared = summarise(rows)
    print(f'\nmean over {len(shared)} corruptions\n\n{markdown(found)}')
    args.out.mkdir(parents=True, exist_ok=True)
    save_figure(picture(found), args.out / f'{args.json.stem}.png')
    print(f'\nthe picture is {args.out / args.json.stem}.png')


if __name__ == '__main__':
    main()
