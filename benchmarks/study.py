#!/usr/bin/env python
"""Compare the choices that the paper leaves open, on validation images only.

Half of the validation images steer the levels, the other half is reported:

    python benchmarks/study.py --data ../shared/data/ccp_person \
        ../shared/data/dsb2018_nuclei ../shared/data/sd_saliency_900 \
        --train-images 120 --epochs 60 --workers 2
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from jobs import ROOT, VALIDATION, Job, Setting, positive
from methods import METHODS
from records import Records
from tables import COLUMNS, collect, markdown
from training import end, run_missing

from mmaslp.commands.errors import exit_on_user_error

_GLOBAL = 'one level'


def variant(rule: str, loss: dict | None = None, **hook: Any) -> dict[str, Any]:
    """Spec of a variant of a rule."""
    return dict(
        loss={'type': 'SCBCELoss', 'beta': 'HI', **(loss or {})},
        hook=dict(type='ASLPHook', levels='image', rule=rule, **hook),
    )


VARIANTS = {
    'BCE': METHODS['bce'],
    'MC': variant('MC'),
    'MC, explicit': variant('MC', solver='explicit'),
    'MC, released arithmetic': variant('MC', solver='released'),
    'MC, eta / 4': variant('MC', eta=0.0005),
    'MC, eta x 4': variant('MC', eta=0.008),
    'MC, lam / 4': variant('MC', lam=500),
    'MC, expected target': variant('MC', dict(deterministic=True)),
    'ME, landmark best': variant('ME'),
    'ME, landmark warmup': variant('ME', landmark='warmup'),
    'FB': variant('FB'),
    'FB, median gap': variant('FB', gap='median'),
    'FB, gain / 4': variant('FB', gain=0.25),
    'FB, gain x 4': variant('FB', gain=4.0),
    'FB, explicit, gain 0.5': variant('FB', gain=0.5, solver='explicit'),
    'FB, warm-up 0': variant('FB', warmup_epochs=0),
    'FB, warm-up 15': variant('FB', warmup_epochs=15),
    'FB, expected target': variant('FB', dict(deterministic=True)),
    'FB, SI': variant('FB', dict(beta='SI')),
    'FB, M': variant('FB', dict(beta='M')),
}


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--base', default=str(ROOT / 'benchmarks' / 'unet_64.py'))
    parser.add_argument('--data', nargs='+', required=True, help='folders')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=VARIANTS)
    parser.add_argument('--epochs', type=positive, default=60)
    parser.add_argument('--val-interval', type=positive, default=5)
    parser.add_argument('--train-images', type=positive, help='use the first N only')
    parser.add_argument('--seeds', type=positive, default=1)
    parser.add_argument('--workers', type=positive, default=1, help='runs at a time')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/study'))
    parser.add_argument('--json', type=Path, help='raw results, read and added to')
    return parser.parse_args()


def job(args: argparse.Namespace, data: str, name: str, spec: dict, seed: int) -> Job:
    """One run."""
    setting = Setting(
        base=args.base,
        epochs=args.epochs,
        val_interval=args.val_interval,
        train_images=args.train_images,
        study=True,
    )
    data = str(Path(data).resolve())
    return Job(setting, data, (), name, spec, seed, args.out.resolve())


def global_level(
    args: argparse.Namespace, records: Records, rule: str, data: str, seed: int
) -> Job | None:
    """A run with one level for all images: the mean level at the end of a rule.

    Returns:
        Job | None: None if the run of the rule has not ended.
    """
    learned = records.find(job(args, data, rule, VARIANTS[rule], seed))
    if learned is None:
        return None
    level = statistics.fmean(learned['alpha'])
    spec = variant('fixed', alpha=level, warmup_epochs=0)
    return job(args, data, f'{rule}, {_GLOBAL}', spec, seed)


@exit_on_user_error
def main() -> None:
    """Run the missing runs and print the table."""
    args = parse_args()
    runs = [(data, seed) for seed in range(args.seeds) for data in args.data]
    jobs = [
        job(args, data, name, VARIANTS[name], seed)
        for data, seed in dict.fromkeys(runs)
        for name in dict.fromkeys(args.variants)
    ]
    levels = [f'{rule}, {_GLOBAL}' for rule in VARIANTS]
    records = Records(args.json, jobs[0].setting, [*VARIANTS, *levels])
    failed = run_missing(jobs, records, args.workers)
    second = [
        global_level(args, records, rule, data, seed)
        for data, seed in runs
        for rule in ('MC', 'FB')
        if rule in args.variants
    ]
    try:
        failed += run_missing([j for j in second if j], records, args.workers)
    except ValueError as error:
        failed.append(str(error))
    records.save()
    found, *_ = collect(records.found, VALIDATION)
    print(markdown(found, [VALIDATION], list(COLUMNS)[:7]))
    end(failed)


if __name__ == '__main__':
    main()
