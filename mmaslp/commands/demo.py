"""Train with BCE and with levels on cell nuclei, calibrate, compare, and review.

With only sixteen images, BCE is over-confident. The demo takes less than two minutes
on two cores.

Example:
    mmaslp demo --seed 1
"""

import argparse
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import CommandParser, need_mmseg

if TYPE_CHECKING:
    from ..evaluation.result import Result

# From the name in the table to the config below configs/demo.
MODELS = {
    'BCE': 'bce',
    'levels by image and band': 'aslp_image_band',
    'levels by band': 'aslp_band',
    'ASLP of the paper': 'aslp_mc',
}
DEFAULT = ('BCE', 'levels by image and band')
EPOCHS = 120
COLUMNS = ('ece', 'nll', 'dice', 'ece_object', 'auroc_object', 'dice_error')


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('--work-dir', default='work_dirs/demo', help='folder to write to')
    add('--epochs', default=EPOCHS, type=int, help='number of epochs of each training')
    add('--seed', default=0, type=int, help='seed of the weights and the image order')
    add(
        '--models',
        nargs='+',
        choices=MODELS,
        default=list(DEFAULT),
        help='what to train with; the first is compared with the others, and reviewed',
    )
    add('--overwrite', action='store_true', help='replace an earlier demo there')


def run(args: argparse.Namespace) -> None:
    """Train, test, review, and say what came of it."""
    if find_spec('mmseg') is None:
        need_mmseg('mmaslp demo')
    from ..common.arguments import check_integer
    from ..report.diagrams import band_figure, save_figure
    from ..report.page import write_report
    from ..report.tables import format_table

    check_integer('--epochs', args.epochs, at_least=1)
    check_integer('--seed', args.seed, at_least=0, below=2**32)
    names = list(dict.fromkeys(args.models))
    args.work_dir = Path(args.work_dir)
    folders = [args.work_dir / MODELS[name] for name in names]
    page = args.work_dir / 'report.html'
    review = args.work_dir / 'review.html'
    picture = args.work_dir / 'bands.png'
    tested = args.work_dir / 'test'
    files = [review, review.with_suffix('.csv'), picture]
    for folder in (*folders, tested):
        files += filter(Path.is_file, folder.rglob('*'))
    _check_outputs(page, files, args.overwrite)
    print(
        f'training with {" and with ".join(names)}. This takes a minute or two; '
        f'{args.work_dir}/*/train.log shows how far it is.',
        flush=True,
    )
    results = _train_all(args, names, folders)
    write_report(page, results, title='Demo', overwrite=True)
    save_figure(
        band_figure({result.model: result for result in results}),
        picture,
        overwrite=True,
    )

    _copy_tested(folders[0] / 'maps', tested)
    _review(folders[0], tested, review)
    print()
    for sentence in _verdicts(results):
        print(f'{sentence}\n')
    measured = {result.model: result.metrics for result in results}
    print(f'{format_table(measured, COLUMNS)}\n')
    print(f'comparison: {page}\nreview of {names[0]}: {review}\npicture: {picture}')


def _check_outputs(page: Path, files: list[Path], overwrite: bool) -> None:
    """Refuse to replace an earlier demo, unless that is asked for."""
    from ..common.outputs import check_outputs
    from ..report.page import page_outputs

    outputs = {**page_outputs(str(page), '--work-dir, the page'), '--work-dir': files}
    check_outputs(outputs, overwrite=overwrite)


def _train_all(
    args: argparse.Namespace, names: list[str], folders: list[Path]
) -> 'list[Result]':
    """Train and test all models at once; the first one writes its maps."""
    import joblib

    train = joblib.delayed(_train_and_test)
    results = joblib.Parallel(n_jobs=len(names))(
        train(name, folder, args.epochs, args.seed, write_maps=name == names[0])
        for name, folder in zip(names, folders)
    )
    return list(chain.from_iterable(results))


def _train_and_test(name: str, *args: Any, **options: Any) -> 'list[Result]':
    """In a process of its own, which alone imports MMSegmentation: it takes seconds."""
    need_mmseg('mmaslp demo')
    from ..integrations.mmseg.demo import train_and_test

    return train_and_test(name, MODELS[name], *args, **options)


def _copy_tested(maps: Path, folder: Path) -> None:
    """Copy the images of these maps, and their masks, out of the package."""
    from ..files.layouts import NUCLEI

    for kind, suffix in (('images', '.jpg'), ('masks', '.png')):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for path in maps.iterdir():
            name = path.stem + suffix
            shutil.copyfile(NUCLEI / 'test' / kind / name, folder / kind / name)


def _review(folder: Path, tested: Path, page: Path) -> None:
    """Print and run the command that tells which masks to trust."""
    from . import run_command

    words = [folder / 'maps', '--calibrator', folder / 'calibrator.json']
    words += ['--out', page.with_suffix('.csv'), '--report', page]
    words += ['--images', tested / 'images']
    words += ['--truth', tested / 'masks', '--overwrite']
    print('\n$ mmaslp review', *words)
    if run_command('review', [*map(str, words)]):
        raise ValueError('mmaslp review failed; its message is above')


def _verdicts(results: 'Sequence[Result]') -> list[str]:
    """What a calibrator and what levels change of the first network; which is best."""
    from ..evaluation.comparison import Measured, compare_within
    from ..evaluation.verdict import best_of_all, verdict

    rows = [Measured(result) for result in results]
    texts = [
        verdict(comparison)
        for comparison in compare_within(rows)
        if comparison.first == rows[0].result.network and not comparison.calibrated[0]
    ]
    return [*texts, best_of_all(rows)]
