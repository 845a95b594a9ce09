#!/usr/bin/env python
"""Train methods on folders of images and masks, and tabulate their calibration.

Every run uses the same data, split, network, schedule and seeds. A finished run is not
repeated, and an interrupted run resumes. With the data of the project's workplace, all
images and then 120 of them (docs/calibration.md):

    python benchmarks/calibration.py --data ../shared/data/ccp_person \
        ../shared/data/dsb2018_nuclei ../shared/data/sd_saliency_900 \
        --ood ../shared/data/dtd_ood --workers 2

With a pretrained network, intervals over images and both directions of a split:

    python benchmarks/calibration.py --base benchmarks/fpn_192.py --swap \
        --data ../shared/data/kvasir_seg_320 --ood ../shared/data/dtd_ood_320 \
        --resamples 1000 --methods bce aslp_fb --out work_dirs/pretrained
"""

import argparse
from pathlib import Path

from jobs import ROOT, VALIDATION, Job, Setting, positive
from methods import METHODS
from post_hoc import POST_HOC
from records import Records
from tables import (
    COLUMNS,
    INTERVAL_COLUMNS,
    OOD_COLUMNS,
    alpha_picture,
    band_picture,
    collect,
    interval_markdown,
    markdown,
    reliability_picture,
)
from training import end, run_missing

from mmaslp.commands.errors import exit_on_user_error
from mmaslp.report.style import save_figure

# Methods that are tested again with what is fitted to them on validation.
FITTED = {
    'ts': ('bce', 'aslp_mc', 'aslp_fb', 'aslp_fb_median', 'aslp_fb_border'),
    'rts': ('bce', 'aslp_fb', 'aslp_fb_border'),
    'lts': ('bce',),
    'ibts': ('bce',),
}
SHOWN = ('bce', 'bce+ts', 'ls_0.1', 'aslp_mc', 'aslp_fb', 'aslp_fb_border')
SHOWN_BY_BAND = ('bce', 'bce+ts', 'bce+rts', 'aslp_fb', 'aslp_fb_border')


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--base', default=str(ROOT / 'benchmarks' / 'unet_64.py'))
    parser.add_argument(
        '--data',
        nargs='+',
        default=[''],
        help='folders with train, val and test; by default the data of the base',
    )
    parser.add_argument('--ood', nargs='*', default=[], help='sets without objects')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS))
    parser.add_argument('--epochs', type=positive, help='by default those of the base')
    parser.add_argument('--val-interval', type=positive, help='in epochs')
    parser.add_argument('--seeds', type=positive, default=3)
    parser.add_argument('--train-images', type=positive, help='use the first N only')
    parser.add_argument('--size', type=positive, help='side of the images in pixels')
    parser.add_argument(
        '--post-hoc',
        nargs='*',
        choices=POST_HOC,
        default=['ts'],
        help='what to fit to trained networks on validation and test them with',
    )
    parser.add_argument(
        '--swap',
        action='store_true',
        help='run each data set a second time, validation and test exchanged',
    )
    parser.add_argument(
        '--resamples', type=positive, default=0, help='of the images, for intervals'
    )
    parser.add_argument('--workers', type=positive, default=1, help='runs at a time')
    parser.add_argument('--loader-workers', type=int, default=0, help='for each run')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/calibration'))
    parser.add_argument('--json', type=Path, help='raw results, read and added to')
    return parser.parse_args()


def list_jobs(args: argparse.Namespace) -> list[Job]:
    """Runs in the order of the seeds, so every method has an early one."""
    setting = Setting(
        base=args.base,
        epochs=args.epochs,
        val_interval=args.val_interval,
        train_images=args.train_images,
        size=args.size,
        loader_workers=args.loader_workers,
        resamples=args.resamples,
    )
    jobs = [
        Job(
            setting=setting,
            data=data and str(Path(data).resolve()),
            ood=tuple(str(Path(folder).resolve()) for folder in args.ood),
            method=method,
            spec=METHODS[method],
            seed=seed,
            out=args.out.resolve(),
            post_hoc=tuple(
                name for name in dict.fromkeys(args.post_hoc) if method in FITTED[name]
            ),
            swap=swap,
        )
        for seed in range(args.seeds)
        for method in args.methods
        for data in args.data
        for swap in ([False, True] if args.swap else [False])
    ]
    return list(dict.fromkeys(jobs))


@exit_on_user_error
def main() -> None:
    """Run what is missing, then write the tables and pictures of all results."""
    args = parse_args()
    jobs = list_jobs(args)
    table = Records(args.json, jobs[0].setting, METHODS)
    failed = run_missing(jobs, table, args.workers)
    table.save()
    records = table.found
    found, tests, ood = collect(records, VALIDATION)
    print(markdown(found, tests, COLUMNS))
    if ood:
        print('\nOut of distribution\n\n' + markdown(found, ood, OOD_COLUMNS))
    intervals = interval_markdown(records, INTERVAL_COLUMNS)
    if intervals:
        print('\n95 % intervals over images\n\n' + intervals)
    args.out.mkdir(parents=True, exist_ok=True)
    for data in sorted({record['data'] for record in records}):
        for test in tests:
            for name, draw, shown in (
                ('reliability', reliability_picture, SHOWN),
                ('bands', band_picture, SHOWN_BY_BAND),
            ):
                figure = draw(records, shown, data, test)
                if figure is not None:
                    save_figure(figure, args.out / f'{name}_{data}_{test}.png')
    figure = alpha_picture(records)
    if figure is not None:
        save_figure(figure, args.out / 'alpha.png')
    for record in records:
        name = f'{record["data"]}, {record["method"]}, seed {record["seed"]}'
        for key in record:
            if key.startswith('no_'):
                print(f'\n{key.replace("_", " ")} for {name}: {record[key]}')
    print(f'\npictures are in {args.out}')
    end(failed)


if __name__ == '__main__':
    main()
