"""Builds sdist and wheel, installs the wheel and uses it from an empty folder.

`make wheel-test` runs it. The environment of the wheel takes its dependencies from the
one that runs this script, so that nothing is downloaded twice; the package itself comes
from the wheel alone. Takes about a minute, most of it imports of the host.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A config of one's own that inherits one of the package.
CONFIG = """
_base_ = ['mmaslp::demo/bce.py']
train_cfg = dict(max_epochs=1)
train_dataloader = dict(dataset=dict(indices=16))
val_dataloader = dict(dataset=dict(indices=4))
custom_hooks = []
"""


def run(*command, cwd=ROOT):
    """Run a command and return what it printed; end with it if it fails."""
    start = time.monotonic()
    # A folder on PYTHONPATH would come before the wheel.
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**env, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    shown = ' '.join(Path(part).name for part in map(str, command))
    print(f'{time.monotonic() - start:5.1f} s  {shown}', flush=True)
    if done.returncode:
        sys.exit(f'{done.stdout[-5000:]}\nexit code {done.returncode}: {shown}')
    return done.stdout


def tracked():
    """The files that git knows and that are there."""
    if not (ROOT / '.git').exists():
        print('no git repository: the contents are not compared with it')
        return []
    listed = run('git', 'ls-files', '-z').split('\0')
    return [name for name in listed if name and (ROOT / name).is_file()]


def build(dist):
    """Build the sdist, and the wheel from the sdist; return both paths."""
    run(sys.executable, '-m', 'build', '--outdir', dist, ROOT)
    (sdist,), (wheel,) = dist.glob('*.tar.gz'), dist.glob('*.whl')
    return sdist, wheel


def check_contents(sdist, wheel):
    """End with the names of files of the repository that a distribution lacks."""
    with tarfile.open(sdist) as archive:
        inside = {name.partition('/')[2] for name in archive.getnames()}
    files = tracked()
    missing = [f for f in files if f not in inside]
    if missing:
        sys.exit(f'{sdist.name} lacks {missing}: see MANIFEST.in')
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    package = [f for f in files if f.startswith('mmaslp/')]
    parts = ('configs/', 'tools/', 'model-index.yml')
    package += [f'mmaslp/.mim/{f}' for f in files if f.startswith(parts)]
    missing = [f for f in package if f not in inside]
    if missing:
        sys.exit(f'{wheel.name} lacks {missing}: see pyproject.toml and setup.py')
    print(f'{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB, {len(inside)} files')


def install(wheel, folder):
    """Install the wheel into an environment of its own; return its ``bin``."""
    venv.create(folder, symlinks=True, clear=True)
    binaries = folder / 'bin'
    site = run(
        binaries / 'python', '-c', 'import site; print(site.getsitepackages()[0])'
    )
    dependencies = sysconfig.get_path('purelib')
    Path(site.strip(), 'dependencies.pth').write_text(f'{dependencies}\n')
    pip = [sys.executable, '-m', 'pip', '--python', binaries / 'python']
    run(*pip, 'install', '--quiet', '--no-deps', '--force-reinstall', wheel)
    run(*pip, 'check')
    return binaries


def use(binaries, folder):
    """Train, test and evaluate maps in an empty folder, as a user would."""
    code = 'from importlib.util import find_spec; print(find_spec("mmaslp").origin)'
    where = run(binaries / 'python', '-c', code, cwd=folder)
    if not Path(where.strip()).is_relative_to(binaries.parent):
        sys.exit(f'the package came from {where}, not from the wheel')
    mmaslp = partial(run, binaries / 'mmaslp', cwd=folder)
    mmaslp('--version')
    (folder / 'mine.py').write_text(CONFIG)
    mmaslp('train', 'mine.py')
    checkpoint = 'work_dirs/mine/epoch_1.pth'
    test = ('test', 'mmaslp::demo/bce.py', checkpoint, '--eval', 'ece')
    few = ('--cfg-options', 'test_dataloader.dataset.indices=4')
    mmaslp(*test, '--sets', 'test', '--out-prob', 'maps', *few)
    masks = folder / 'masks'
    masks.mkdir()
    package = Path(where.strip()).parent
    for path in (folder / 'maps').iterdir():
        shutil.copy(package / 'files/nuclei/test/masks' / path.name, masks)
    mmaslp('eval-maps', 'maps', masks, '--json', 'maps.json', '--resamples', 0)
    tested = json.loads(next(folder.rglob('calibration_test.json')).read_text())
    mapped = json.loads((folder / 'maps.json').read_text())
    tested = tested[0]  # the second is calibrated
    if abs(tested['ece'] - mapped['ece']) > 1e-3:  # maps have 16 bits
        sys.exit(f'ECE {tested["ece"]} of the test, {mapped["ece"]} of its maps')
    print(f'ECE {tested["ece"]:.4f} of the test, {mapped["ece"]:.4f} of its maps')


def main():
    """Do all of it below ``--work-dir``, which must not exist."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dir', type=Path, help='a new folder')
    args = parser.parse_args()
    args.work_dir.mkdir(parents=True)
    work_dir = args.work_dir.resolve()
    sdist, wheel = build(work_dir / 'dist')
    check_contents(sdist, wheel)
    binaries = install(wheel, work_dir / 'env')
    empty = work_dir / 'empty'
    empty.mkdir()
    use(binaries, empty)


if __name__ == '__main__':
    main()
