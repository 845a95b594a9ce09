"""Say which masks to trust: what to expect of each image, the most doubtful first.

A row of the review says what Dice, IoU, accuracy and area to expect of the mask
p > 1/2 of an image, with bounds. Name one output or several: each map is read once.

Columns of --out: `image`; `score`, by which rows are sorted; the expected `dice`,
`iou`, `accuracy` and `area` with their bounds; `present`, the probability that the
image contains anything; `objects`, their number; `least_object`, the probability of
the least probable one; `mask_area` and `pixels`; `out_of_range`, whether the image is
unlike the validation images.
Columns of --objects: `probability` that the object is real, with a range of 90 % if
few validation objects tell it; `area` in pixels; `mean_p`, its mean calibrated
probability; its box and centre along the axes of the file. Volumes also have
`volume_mm3`, and the centre in mm towards the right, the front and the head of the
patient: `right_mm`, `front_mm` and `head_mm`.

Example:
    mmaslp review test_maps --calibrator calibrator.json --out review.csv
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.names import display_name, some, warn_of_others
from .arguments import (
    add_calibrator,
    add_map_options,
    check_tables,
    judging_calibrator,
    map_reader,
)
from .groups import add_groups, groups_by_name

if TYPE_CHECKING:
    from ..calibration.calibrator import Calibrator
    from ..calibration.decisions import Decisions
    from ..files.map_pairs import MapFiles
    from ..files.reviews import Extra, Reviewed
    from ..workflows.review import ReviewOptions

TABLES = ('--out', '--objects', '--coco')
OUTPUTS = ('--out', '--objects', '--report', '--coco', '--suspects')

# Most images whose pictures a page has, the most doubtful ones.
MOST_PICTURES = 500
# Metrics that only a review has; the others are those of all results.
TITLES = {
    'covered': 'images above the lower bound',
    'area_error': 'area error, of the image',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('maps', help='folder of maps')
    add_calibrator(parser)
    add('--suffix', help='what map names have after the name of the mask: _prob')
    add('--out', metavar='FILE', help='a row for each image, the review (CSV)')
    add('--objects', metavar='FILE', help='how probable each object is (CSV)')
    add('--report', metavar='FILE', help='a page of pictures (HTML)')
    add('--coco', metavar='FILE', help='images and objects, with scores (COCO JSON)')
    add(
        '--objects-out',
        metavar='DIR',
        help='the objects of volumes as numbered NIfTI, with tables for ITK-SNAP and '
        '3D Slicer',
    )

    add(
        '--images',
        metavar='DIR',
        help='photographs or NIfTI scans of the same names, for --report and --coco',
    )
    add('--truth', metavar='DIR', help='folder of masks: measure the review')
    add_groups(parser)
    add('--labels', metavar='DIR', help='folder of masks, some of which may be wrong')
    add(
        '--suspects',
        metavar='FILE',
        help='labels that are probably wrong (CSV); the network must not have been '
        'trained on these images',
    )
    add(
        '--smallest',
        type=float,
        default=0.0,
        metavar='SIZE',
        help='leave out smaller objects: pixels, or mm3 of volumes with a spacing',
    )
    add(
        '--level',
        type=float,
        default=0.9,
        help='share of images for which a bound is right; default 0.9',
    )
    add_map_options(parser)


def run(args: argparse.Namespace) -> None:
    """Review every map, write the files, say what is doubtful."""
    from ..calibration.calibrator import file_of
    from ..common.arguments import check_number
    from ..files.map_pairs import MapFiles
    from ..workflows.review import (
        ReviewOptions,
        add_extras,
        compare_review,
        review_maps,
    )

    check_number('--smallest', args.smallest, at_least=0)
    check_number('--level', args.level, above=0, below=1)
    files = MapFiles.of(args.maps, args.labels or args.truth, args.suffix or '')
    groups = groups_by_name(args.groups, list(files.pairs))
    args.calibrator = file_of(args.calibrator)
    _check_outputs(args, files)
    calibrator = judging_calibrator(args.calibrator)
    reader = map_reader(args)
    options = ReviewOptions(
        level=args.level,
        smallest=args.smallest,
        extras=_extras(args, files),
        keep={'views': MOST_PICTURES},
    )
    rows = review_maps(
        calibrator, files, reader=reader, options=options, workers=args.workers
    )
    comparison, rows = compare_review(calibrator, rows, groups)
    verdict = (
        comparison or f'{_number(rows, groups)} are too few to compare with the fit.'
    )
    print(verdict)
    alarm = False
    if comparison is not None and comparison.objects_withheld:
        alarm = True
        options = _shown_without_probabilities(args, options, len(rows))
        silent = calibrator.withheld_by(comparison)
        add_extras(silent, rows, files, options, reader=reader, workers=args.workers)
    _print_review(rows, calibrator.need_decisions())
    if args.truth:
        _print_proof(rows, groups)
    _write(args, rows, calibrator, str(verdict), alarm)


def _number(rows: 'list[Reviewed]', groups: dict[str, int] | None) -> str:
    """Say how many images there are, or groups of them."""
    if groups is None:
        return f'{len(rows)} images'
    return f'{len(set(groups.values()))} groups'


def _check_outputs(args: argparse.Namespace, files: 'MapFiles') -> None:
    """Refuse outputs that would cost a file, and options without an effect."""
    from ..common.outputs import check_outputs
    from ..files.object_volumes import files_of
    from ..report.page import page_outputs

    page_outputs(args.report)  # refuses another ending
    outputs = {name: getattr(args, name[2:]) for name in OUTPUTS}
    if not any(outputs.values()) and not args.objects_out:
        raise ValueError(f'name an output: {", ".join([*OUTPUTS, "--objects-out"])}')
    if args.images and not (args.report or args.coco):
        raise ValueError('--images are for --report or --coco: name one of them')

    if bool(args.labels) != bool(args.suspects) or (args.labels and args.truth):
        raise ValueError('--labels and --suspects go together, and without --truth')

    check_tables({option: outputs[option] for option in TABLES})
    if args.objects_out:
        outputs['--objects-out'] = files_of(args.objects_out, files.pairs)
    inputs = [args.maps, args.truth, args.labels, args.calibrator, args.images]
    check_outputs(outputs, inputs, args.overwrite)
    if args.objects_out and args.overwrite:
        warn_of_others(Path(args.objects_out), outputs['--objects-out'])


def _extras(args: argparse.Namespace, files: 'MapFiles') -> dict[str, 'Extra']:
    """What else the options ask for of each image."""
    from ..files import coco, map_pairs, object_volumes
    from ..report.views import views_of
    from ..workflows.suspects import find_suspects

    problems: list[str] = []
    photos = {}
    if args.images:
        photos = map_pairs.find_photos(args.images, files.pairs, problems)
    if problems:
        print(f'--images, left out: {display_name(some(problems))}')
    alone = [display_name(name) for name in files.pairs if name not in photos]
    if args.images and alone:
        print(
            f'{len(alone)} of {len(files.pairs)} images have no photograph or scan in '
            f'{display_name(args.images)}, so the page shows their maps instead: '
            f'{some(alone)}'
        )
    extras: dict[str, Extra] = {}
    if args.report:
        with_labels = bool(args.suspects)
        extras['views'] = partial(views_of, photos, with_labels=with_labels)
    if args.coco:
        extras['coco'] = partial(coco.encode_image, photos)
    if args.suspects:
        extras['suspects'] = find_suspects
    if args.objects_out:
        write = partial(object_volumes.write_volume, overwrite=args.overwrite)
        extras['volumes'] = partial(write, args.objects_out)
    return extras


def _shown_without_probabilities(
    args: argparse.Namespace, options: 'ReviewOptions', images: int
) -> 'ReviewOptions':
    """What is made anew, since it shows what is withheld now."""
    from ..files.object_volumes import write_volume

    extras = dict(options.extras)
    extras.pop('coco', None)  # which is written of the rows
    if 'volumes' in extras:
        # The files that are there are those of the first pass.
        extras['volumes'] = partial(write_volume, args.objects_out, overwrite=True)
    if [*extras] == ['views']:
        images = min(images, MOST_PICTURES)
    if extras:
        print(
            f'Reads {images} maps again, to show what does not depend on the '
            'probabilities that are withheld.'
        )
    return replace(options, extras=extras)


def _print_review(rows: 'list[Reviewed]', decisions: 'Decisions') -> None:
    from ..report.tables import number_text
    from ..workflows.review import range_said, unknown_dice_said

    print(f'{"most doubtful images":<32}{"Dice":>8}{"at least":>10}{"objects":>9}')
    for row in rows[:10]:
        dice = number_text(row.estimate.dice, 3)
        low = number_text(row.estimate.dice_low, 3)
        print(
            f'{display_name(row.name):<32}{dice:>8}{low:>10}{row.estimate.objects:>9}'
        )
    for sentence in (unknown_dice_said(rows, decisions), range_said(rows)):
        if sentence:
            print(sentence)


def _print_proof(rows: 'list[Reviewed]', groups: dict[str, int] | None) -> None:
    from ..metrics.catalogue import metric_of
    from ..report.tables import number_text
    from ..workflows.review import groups_of, proof

    numbers = groups_of(rows, groups)
    units = ''
    if numbers is not None:
        units = f' over {len(set(numbers))} groups'
    print(f'\n{"measured against the masks":<32}{"":>8} 95 % interval{units}')
    for key, values in proof(rows, groups=numbers).items():
        value, low, high = [number_text(number, 3) for number in values]
        title = TITLES.get(key) or metric_of(key).label
        print(f'{title:<32}{value:>8} [{low}, {high}]')


def _write(
    args: argparse.Namespace,
    rows: 'list[Reviewed]',
    calibrator: 'Calibrator',
    verdict: str,
    alarm: bool,
) -> None:
    """Write what was asked for."""
    from ..files import coco, reviews
    from ..report.review_page import write_review_page

    overwrite = args.overwrite
    if args.out:
        reviews.write_review(args.out, rows, overwrite)
    if args.objects:
        reviews.write_objects(args.objects, rows, overwrite)
    if args.coco:
        coco.write_coco(args.coco, rows, overwrite)
    if args.suspects:
        reviews.write_suspects(args.suspects, rows, overwrite)
    if args.report:
        write_review_page(
            args.report,
            rows,
            calibrator,
            calibrator_file=args.calibrator,
            verdict=verdict,
            alarm=alarm,
            overwrite=overwrite,
        )
