"""Speed and memory of the commands on many maps, beside what decoding alone takes.

    python benchmarks/scale.py [--images 10000] [--side 320] [--volumes 50]
        [--volume 200 256 256] [--tiny 1000 4000 16000] [--before CHECKOUT]
        [--workers 1 2] [--commands eval-maps fit]

Maps are smooth logits with noise, and masks are cut from logits that differ a little.
Images are PNG of 8 and 16 bits and npy, volumes float32 as .nii.gz. The sizes that were
run are in the results; those of the targets need no option. Each command runs in a
process of its own. Decoding reads the same files and does nothing with them; encoding
writes what `apply` writes.

`ratio` is CPU time over that of decoding (of `apply`: and encoding), each less what it
takes on 30 tiny files: starting Python and importing torch, which does not grow.
The exponent is that of time as a power of images, from three sizes of tiny maps.
`--before` runs the same with another checkout. Results go to results/scale.json, anew
after each row.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from scipy.special import expit

HERE = Path(__file__).resolve()
RESULTS = HERE.parent / 'results' / 'scale.json'
KINDS = ('png8', 'png16', 'npy')
SIDE = 320
TINY = 24
VOLUME = [200, 256, 256]
FEW = 30  # tiny files of a run that shows what starting takes
COMMANDS = ('eval-maps', 'fit', 'apply', 'review', 'drift', 'compare', 'report')
READING = ('eval-maps', 'fit', 'apply', 'review', 'drift')


# ---- maps and masks ----


@dataclass(frozen=True)
class Scene:
    """Logits of a made-up network, and the mask."""

    logit: np.ndarray
    label: np.ndarray


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth random field of standard deviation 1."""
    coarse = rng.normal(size=[math.ceil(side / 4) + 1 for side in shape])
    field = gaussian_filter(coarse, max(1.0, min(shape) / 48), mode='wrap')
    slices = tuple(slice(side) for side in shape)
    field = zoom(field, 4, order=1)[slices]
    return (field / field.std()).astype(np.float32)


def scenes(shape: tuple[int, ...], number: int) -> Iterator[Scene]:
    """Scenes made of eight smooth fields and noise, shifted anew for each scene."""
    rng = np.random.default_rng(0)
    fields = [smooth_field(rng, shape) for _ in range(8)]
    noise = rng.normal(size=shape).astype(np.float32)

    for _ in range(number):
        first, second, error = rng.choice(8, 3, replace=False)
        shifts = [tuple(rng.integers(0, shape)) for _ in range(4)]
        axes = tuple(range(len(shape)))
        field = np.roll(fields[first], shifts[0], axes)
        field = 0.8 * field + 0.6 * np.roll(fields[second], shifts[1], axes)
        wrong = 0.15 * np.roll(fields[error], shifts[2], axes)
        grain = np.roll(noise, shifts[3], axes)
        border = rng.uniform(0.6, 1.2)
        yield Scene(
            12 * (field - border) + 0.4 * grain,
            (field + wrong > border).astype(np.uint8),
        )


def write_images(folder: Path, kind: str, number: int, shape: tuple[int, ...]) -> None:
    """Write maps and masks of images."""
    for part in ('maps', 'masks'):
        (folder / part).mkdir(parents=True)
    for k, scene in enumerate(scenes(shape, number)):
        prob = expit(scene.logit)
        if kind == 'npy':
            np.save(folder / 'maps' / f'{k:05d}.npy', prob)
        else:
            bits = int(kind.removeprefix('png'))
            top = 2**bits - 1
            grey = np.rint(prob * top).astype(f'uint{bits}')
            Image.fromarray(grey).save(folder / 'maps' / f'{k:05d}.png')
        Image.fromarray(scene.label * 255).save(folder / 'masks' / f'{k:05d}.png')


def write_volumes(folder: Path, number: int, shape: tuple[int, ...]) -> None:
    """Write maps and masks of volumes, of 1 x 1 x 3 mm."""
    import nibabel
    from isal import igzip

    for part in ('maps', 'masks'):
        (folder / part).mkdir(parents=True)
    for k, scene in enumerate(scenes(shape, number)):
        for part, values in (('maps', expit(scene.logit)), ('masks', scene.label)):
            image = nibabel.Nifti1Image(values.T, np.diag([1.0, 1.0, 3.0, 1.0]))
            data = igzip.compress(image.to_bytes(), 1)
            (folder / part / f'{k:05d}.nii.gz').write_bytes(data)


# ---- decoding and encoding alone, in a process of their own ----


def read_file(path: Path) -> np.ndarray:
    """The values of a file, by the fastest library."""
    if path.suffix == '.npy':
        return np.load(path)
    if path.suffix == '.gz':
        from isal import igzip

        with igzip.open(path) as file:
            return np.frombuffer(file.read(), np.uint8)
    with Image.open(path) as image:
        return np.asarray(image)


def decode(folder: Path, masks: str) -> None:
    """Read every map, and with ``masks`` 'yes' its mask."""
    parts = ('maps', 'masks') if masks == 'yes' else ('maps',)
    for part in parts:
        for path in sorted((folder / part).iterdir()):
            read_file(path)


def recode(folder: Path, out: Path) -> None:
    """Read every map, and write as many bytes of the kind that `apply` writes."""
    out.mkdir(parents=True)
    for path in sorted((folder / 'maps').iterdir()):
        values = read_file(path)
        if path.suffix == '.npy':
            np.save(out / path.name, values)
        elif path.suffix == '.gz':
            from isal import igzip

            (out / path.name).write_bytes(igzip.compress(values.tobytes(), 2))
        else:
            if values.dtype == np.uint8:
                values = values.astype(np.uint16) * 257
            Image.fromarray(values).save(out / path.name, compress_level=1)


def work_alone(work: str, data: str, *arguments: str) -> None:
    """Do what a process of this script is for."""
    folder = Path(data)
    if work == 'decode':
        decode(folder, *arguments)
    elif work == 'recode':
        recode(folder, Path(*arguments))
    else:
        kind, number, *sides = arguments
        shape = tuple(map(int, sides))
        if kind == 'nii.gz':
            write_volumes(folder, int(number), shape)
        else:
            write_images(folder, kind, int(number), shape)


def write(folder: Path, kind: str, number: int, shape: tuple[int, ...]) -> None:
    """Write maps and masks in a process of its own.

    A child counts the memory of its parent before it begins, so this one stays small.
    """
    words = [HERE, '--alone', 'write', folder, kind, number, *shape]
    subprocess.run([sys.executable, *map(str, words)], check=True)


# ---- measuring ----


@dataclass(frozen=True)
class Spent:
    """What a process and its processes took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float  # of the largest process


def measure(words: list[object], checkout: Path) -> Spent:
    """Run Python with these words and a checkout, and measure it."""
    environment = {
        **os.environ,
        'PYTHONPATH': str(checkout),
        'OMP_NUM_THREADS': '1',
        'MKL_NUM_THREADS': '1',
    }
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=environment,
            cwd=checkout,  # what `python -m` imports first
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        # `drift` ends with 1 if maps are not alike.
        if child.returncode not in (0, 1):
            said.seek(0)
            raise RuntimeError(said.read().decode()[-500:])
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Runner:
    """Runs commands of a checkout on folders of maps; outputs go into its folder."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout = checkout
        self.folder = folder
        folder.mkdir(parents=True)

    def alone(self, what: str, data: Path, argument: str) -> Spent:
        """Decode or encode a folder."""
        return measure([HERE, '--alone', what, data, argument], self.checkout)

    def words(self, command: str, data: Path, workers: int) -> list[object]:
        """The arguments of a command on a folder."""
        maps, masks = data / 'maps', data / 'masks'
        calibrator = self.folder / f'{data.name}_calibrator.json'
        result = self.folder / f'{data.name}_result.json'
        processes = ['--workers', workers, '--overwrite']
        by_command: dict[str, list[object]] = {
            'eval-maps': [maps, masks, '--json', result, *processes],
            'fit': [maps, masks, '--out', calibrator, *processes],
            'apply': [
                calibrator,
                maps,
                '--out',
                self.folder / f'{data.name}_{workers}_applied',
                *processes,
            ],
            'review': [
                maps,
                '--calibrator',
                calibrator,
                '--out',
                self.folder / f'{data.name}_review.csv',
                *processes,
            ],
            'drift': [maps, '--calibrator', calibrator, *processes],
            'compare': [result, self.second_result(data, result)],
            'report': [
                result,
                '--out',
                self.folder / f'{data.name}_page.html',
                '--overwrite',
            ],
        }
        return ['-m', 'mmaslp', command, *by_command[command]]

    def second_result(self, data: Path, result: Path) -> Path:
        """The same result under another name: one is not compared with itself."""
        second = self.folder / f'{data.name}_second.json'
        if result.is_file():
            second.write_bytes(result.read_bytes().replace(b'"maps"', b'"others"'))
        return second

    def command(self, command: str, data: Path, workers: int) -> Spent:
        """Run a command on a folder."""
        return measure(self.words(command, data, workers), self.checkout)


def row_of(spent: Spent) -> dict[str, float]:
    """A row of the results, rounded."""
    return {key: round(value, 3) for key, value in vars(spent).items()}


def grown(whole: Spent, few: Spent) -> float:
    """CPU seconds that files take beyond those that starting takes."""
    return whole.cpu_seconds - few.cpu_seconds


# ---- the tables ----


def table_of(
    runner: Runner,
    data: Path,
    few: Path,
    number: int,
    workers: list[int],
    commands: list[str],
) -> dict:
    """A row for decoding, for encoding, and for each command."""
    decoding = {
        name: (
            runner.alone('decode', data, masks),
            runner.alone('decode', few, masks),
        )
        for name, masks in (('maps and masks', 'yes'), ('maps', 'no'))
    }
    decoding['maps, and encoding'] = (
        runner.alone('recode', data, str(runner.folder / f'{data.name}_recoded')),
        runner.alone('recode', few, str(runner.folder / f'{few.name}_recoded')),
    )
    rows = {}
    for name, (whole, start) in decoding.items():
        rows[f'decoding {name}'] = {
            **row_of(whole),
            'ms_each': round(1000 * grown(whole, start) / number, 3),
        }

    beside = {
        'eval-maps': 'maps and masks',
        'fit': 'maps and masks',
        'apply': 'maps, and encoding',
        'review': 'maps',
        'drift': 'maps',
    }
    for command in commands:
        runs = workers if command in READING else [1]
        few_start = runner.command(command, few, 1)
        for processes in runs:
            try:
                spent = runner.command(command, data, processes)
            except RuntimeError as error:  # too few volumes for `drift`
                rows[f'{command}, {processes}'] = {'refused': str(error)}
                continue
            row = row_of(spent)
            row['start_cpu_seconds'] = round(few_start.cpu_seconds, 3)
            row['ms_each'] = round(1000 * grown(spent, few_start) / number, 3)
            if command in beside and processes == 1:
                alone = grown(*decoding[beside[command]])
                row['ratio'] = round(grown(spent, few_start) / alone, 2)
            rows[f'{command}, {processes}'] = row
            print(f'{data.name:<8} {command:<10} {processes}: {row}', flush=True)
    return rows


def tiny_table(runner: Runner, folders: dict[int, Path], commands: list[str]) -> dict:
    """Time and memory by the number of tiny maps, with the exponent."""
    table = {}
    for command in commands:
        if command not in READING:
            continue
        spent = {
            number: runner.command(command, data, 1) for number, data in folders.items()
        }
        row: dict = {str(number): row_of(each) for number, each in spent.items()}
        seconds = [each.cpu_seconds for each in spent.values()]
        if len(seconds) == 3:
            numbers = list(spent)
            steps = (seconds[2] - seconds[1]) / (seconds[1] - seconds[0])
            # With a + b n^e the start cancels, for sizes that grow by one factor.
            row['exponent'] = round(math.log(steps, numbers[2] / numbers[1]), 3)
        peaks = [each.peak_mb for each in spent.values()]
        row['peak_ratio'] = round(peaks[-1] / peaks[0], 3)
        table[command] = row
        print(f'tiny {command:<10}: {row}', flush=True)
    return table


def main() -> None:
    """Write the maps, run the commands, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--images', type=int, default=10000, help='of each kind')
    add('--kinds', nargs='+', choices=KINDS, default=KINDS)
    add('--side', type=int, default=SIDE, help='of an image, in pixels')
    add('--volumes', type=int, default=50)
    add('--volume', type=int, nargs=3, default=VOLUME, metavar=('D', 'H', 'W'))
    add('--tiny', type=int, nargs='*', default=[1000, 4000, 16000])
    add('--workers', type=int, nargs='+', default=[1, 2])
    add(
        '--commands',
        nargs='+',
        choices=COMMANDS,
        default=list(COMMANDS),
        help='apply, review and drift need the calibrator of fit, compare and report '
        'the result of eval-maps',
    )
    add('--before', type=Path, help='another checkout, which runs too')
    add('--out', type=Path, default=RESULTS)
    add('--alone', nargs='+', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        work_alone(*args.alone)
        return

    checkouts = {'after': HERE.parents[1]}
    if args.before:
        checkouts['before'] = args.before.resolve()
    results: dict = {
        'run': {
            'images': args.images,
            'side': args.side,
            'volumes': args.volumes,
            'volume': args.volume,
            'tiny': args.tiny,
            'tiny_side': TINY,
            'workers': args.workers,
            'date': time.strftime('%Y-%m-%d %H:%M'),
            'python': platform.python_version(),
            'cores': os.cpu_count(),
            'load_at_start': os.getloadavg()[0],
            'commits': {name: commit_of(path) for name, path in checkouts.items()},
        }
    }

    def keep(name: str, table: dict) -> None:
        results[name] = table
        args.out.write_text(json.dumps(results, indent=1) + '\n')

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runners = {
            name: Runner(checkout, folder / name)
            for name, checkout in checkouts.items()
        }
        numbers = dict.fromkeys(args.kinds, args.images)
        if args.volumes:
            numbers['nii.gz'] = args.volumes
        for kind, number in numbers.items():
            data = folder / kind.replace('.', '')
            few = folder / f'{data.name}_few'
            if kind == 'nii.gz':
                write(data, kind, number, tuple(args.volume))
                write(few, kind, FEW, (12, TINY, TINY))
            else:
                write(data, kind, number, (args.side, args.side))
                write(few, kind, FEW, (TINY, TINY))
            for name, runner in runners.items():
                table = table_of(runner, data, few, number, args.workers, args.commands)
                keep(f'{kind}, {name}', table)

        tiny = {number: folder / f'tiny{number}' for number in args.tiny}
        for number, data in tiny.items():
            write(data, 'png8', number, (TINY, TINY))
        for name, runner in runners.items():
            if tiny:
                keep(f'tiny, {name}', tiny_table(runner, tiny, args.commands))


def commit_of(checkout: Path) -> str:
    """The commit of a checkout."""
    words = ['git', '-C', str(checkout), 'describe', '--always', '--dirty']
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


if __name__ == '__main__':
    main()
