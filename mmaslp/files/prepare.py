"""Bringing downloaded data into the layout that the configs read."""

import os
import os.path as osp
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..hosts.mmseg.datasets.synthetic import make_synthetic_sod
from .atomic_write import atomic_write
from .checking import check_pairs, image_size
from .layouts import get_layout
from .masks import read_binary_mask
from .names import shown
from .progress import track
from .sources import TEXTURES, Pairs, find_pairs, open_source
from .splitting import Split

__all__ = ['SETS', 'prepare_dataset']

# From the name that the user gives to its layouts.
SETS = {
    'duts': ('DUTS-TR', 'DUTS-TE'),
    'duts-tr': ('DUTS-TR',),
    'duts-te': ('DUTS-TE',),
    'dut-omron': ('DUT-OMRON',),
    'pascal-s': ('PASCAL-S',),
    'sod': ('SOD',),
    'ecssd': ('ECSSD',),
    'hku-is': ('HKU-IS',),
    'dtd-500': (TEXTURES,),
    'folder': ('folder',),
    'synthetic': (),
}
# In the first release its masks are votes: they are cut at half and written anew.
VOTES = 'PASCAL-S'
MAX_SHOWN = 100
# Writes a file to a path.
Writer = Callable[[str], object]
DUTS_VAL_RATIO = 1000 / 10553  # that of the published split
FOLDER_VAL_RATIO = 0.1


def prepare_dataset(
    name: str,
    sources: Sequence[str] = (),
    out: str = 'data',
    *,
    list_file: str | None = None,
    split: Split | None = None,
    symlink: bool = False,
    skip_bad: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Check a downloaded data set and write it in the layout of the configs.

    Every pair of image and mask is checked before anything is written, and each set
    appears under ``out`` in one piece. The sources are never changed.

    Args:
        name (str): A key of :data:`SETS`.
        sources (Sequence[str]): Archives as they were downloaded (zip, tar.gz), or
            folders with the unpacked data or with these archives. 'synthetic' needs
            none.
        out (str): The folder of all sets, which the configs call ``data_root``; for
            'folder' that of this set. Defaults to 'data'.
        list_file (str, optional): For 'dtd-500': the textures to take, one name a
            line. Defaults to None.
        split (Split, optional): For 'duts' and 'folder': which images validate and
            test. 'synthetic' takes its seed. Defaults to None, the default of
            :class:`Split`.
        symlink (bool): Link to the source files instead of copying. Defaults to False.
        skip_bad (bool): Leave out bad pairs instead of stopping. Defaults to False.
        report (Callable[[str], None]): Receives lines about the progress. Defaults to
            ``print``.

    Raises:
        FileNotFoundError: The data does not exist; says where it looked and what to
            fetch.
        ValueError: The data has problems; lists all of them.
    """
    split = split or Split()
    if name == 'synthetic':
        folder = osp.join(out, 'synthetic_sod')
        make_synthetic_sod(folder, split.seed, progress=lambda s: report(f'{s} ...'))
        report(f'synthetic set, seed {split.seed}, in {folder}')
        return
    _check_arguments(name, sources, split)
    _check_place(name, sources, out)
    parent, base = osp.split(osp.abspath(out))
    staging = osp.join(parent, f'.{base}.{name}.unpacked')
    job = _Job(out, staging, list_file, split, symlink, skip_bad, report)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        roots = [open_source(path, staging, SETS[name], report) for path in sources]
        job.prepare(SETS[name], list(dict.fromkeys(roots)))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_arguments(name: str, sources: Sequence[str], split: Split) -> None:
    """Refuse arguments that make no sense before anything is unpacked."""
    if name not in SETS:
        raise ValueError(f'unknown set {name!r}; known are {", ".join(SETS)}')
    if not sources:
        fetch = '; '.join(get_layout(layout).fetch for layout in SETS[name])
        raise ValueError(f'--source is needed: {fetch}')
    for path in sources:
        if not osp.exists(path):
            raise FileNotFoundError(f'--source {osp.abspath(path)} does not exist')
    split.check(with_test=name == 'folder')


def _check_place(name: str, sources: Sequence[str], out: str) -> None:
    """Refuse to write into a folder of images.

    The source of a published set is the folder of its downloads, which may also hold
    the sets in their place.
    """
    if name != 'folder':
        return
    place = osp.realpath(out)
    for source in map(osp.realpath, sources):
        inside = place.startswith(osp.join(source, ''))
        if inside or place == source:
            raise ValueError(
                f'--out {out} is {"inside of" if inside else "the same folder as"} '
                f'--source {source}, and sources are never changed: write to another '
                'folder'
            )


@dataclass(frozen=True)
class _Job:
    """The arguments of one call of :func:`prepare_dataset`, which documents them."""

    out: str
    staging: str  # files in it are ours and may be moved
    list_file: str | None
    split: Split
    symlink: bool
    skip_bad: bool
    report: Callable[[str], None]

    def prepare(self, layouts: Sequence[str], roots: Sequence[str]) -> None:
        """Find and check all sets of a name, then write them."""
        found = {}
        missing: list[str] = []
        problems: list[str] = []
        for layout in layouts:
            try:
                pairs, bad = find_pairs(layout, roots, self.list_file)
            except FileNotFoundError as error:
                missing.append(str(error))
                continue
            self.report(f'{layout}: checking {len(pairs)} images')
            bad.update(self.check(layout, pairs))
            problems += bad.values()
            good = {key: pair for key, pair in pairs.items() if key not in bad}
            found[layout] = good, bad
        if not found:
            raise FileNotFoundError('\n'.join(missing))
        listed = [shown(problem) for problem in problems[:MAX_SHOWN]]
        if len(problems) > MAX_SHOWN:
            listed.append(f'... and {len(problems) - MAX_SHOWN} more')
        if problems and not self.skip_bad:
            raise ValueError(
                f'{len(problems)} problems, nothing was written (--skip-bad leaves '
                'these files out):\n' + '\n'.join(listed)
            )
        for problem in listed:
            self.report(f'left out: {problem}')
        for message in missing:
            self.report(f'not prepared: {message}')
        for layout, (pairs, bad) in found.items():
            self.write_set(layout, pairs, bad)

    def check(self, layout: str, pairs: Pairs) -> dict[str, str]:
        """Check all pairs of a set: from name to problem."""
        if layout == TEXTURES:
            bad = {}
            for stem, (image, _) in pairs.items():
                try:
                    image_size(image)
                except ValueError as error:
                    bad[stem] = str(error)
            return bad
        return check_pairs(
            pairs,
            graded=get_layout(layout).graded,
            progress=lambda done, total: self.report(
                f'{layout}: {done} of {total} checked'
            ),
        )

    def write_set(self, name: str, pairs: Pairs, bad: dict[str, str]) -> None:
        """Write a set and its split."""
        lists: dict[str, list[str]] = {}
        if name == 'folder':
            parts = self.split.divide(pairs, bad, FOLDER_VAL_RATIO, with_test=True)
            target = self.out
            folders = {part: (f'{part}/images', f'{part}/masks') for part in parts}
        else:
            layout = get_layout(name)
            parts = {'': list(pairs)}
            target = osp.join(self.out, layout.homes[0])
            folders = {'': layout.pairs()[0]}
            if len(pairs) != layout.images:
                self.report(
                    f'{name}: {len(pairs)} images; the complete set has {layout.images}'
                )
        if name == 'DUTS-TR':  # before anything is written: the list may be wrong
            lists = self.split.divide(pairs, bad, DUTS_VAL_RATIO)
        files: dict[str, Writer] = {}
        for part, stems in parts.items():
            for stem in stems:
                image, mask = pairs[stem]
                suffix = '.png' if name in (TEXTURES, VOTES) else osp.splitext(mask)[1]
                files[f'{folders[part][1]}/{stem}{suffix}'] = self.mask(
                    name, *pairs[stem]
                )
                files[f'{folders[part][0]}/{stem}{osp.splitext(image)[1]}'] = (
                    self.copy_of(image)
                )
        if not _holds(target, pairs):
            self.write_files(files, target)
        self.report(f'{name}: {len(pairs)} pairs in {target}')
        if lists:
            for part, stems in lists.items():
                atomic_write(osp.join(target, f'{part}.txt'), '\n'.join(stems) + '\n')
            source = self.split.val_list or f'at random, seed {self.split.seed}'
            sizes = ', '.join(f'{len(stems)} {part}' for part, stems in lists.items())
            self.report(f'{name}: split into {sizes} ({source})')

    def write_files(self, files: dict[str, Writer], target: str) -> None:
        """Write files to a folder beside the target, then rename it to the target.

        ``files`` maps each path below the target to the function that writes it.
        """
        if osp.isdir(target) and os.listdir(target):
            if set(files) - _files_below(target):
                raise ValueError(
                    f'{target} holds other data. Remove it, or name another --out'
                )
            self.report(f'{target}: already there')
            return
        parent, base = osp.split(osp.abspath(target))
        partial = osp.join(parent, f'.{base}.partial')
        shutil.rmtree(partial, ignore_errors=True)
        for relative, write in track(files.items(), f'writing {shown(target)}'):
            path = osp.join(partial, *relative.split('/'))
            os.makedirs(osp.dirname(path), exist_ok=True)
            write(path)
        os.rename(partial, target)

    def copy_of(self, source: str) -> Writer:
        """Writer of an unchanged file: moves our own files, links or copies others."""
        if osp.abspath(source).startswith(osp.abspath(self.staging) + os.sep):
            return lambda path: os.replace(source, path)
        if self.symlink:
            return lambda path: os.symlink(osp.abspath(source), path)
        return lambda path: shutil.copyfile(source, path)

    def mask(self, name: str, image: str, mask: str | None) -> Writer:
        """Writer of the mask of an image."""
        if name == TEXTURES:
            return lambda path: _save_mask(
                np.zeros(image_size(image)[::-1], bool), path
            )
        if name == VOTES:
            return lambda path: _save_mask(read_binary_mask(mask, graded=True), path)
        return self.copy_of(mask)


def _save_mask(mask: np.ndarray, path: str) -> None:
    """Write a mask of {0, 1}, ``(H, W)``, as 0 and 255."""
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path)


def _holds(target: str, pairs: Pairs) -> bool:
    """Whether the source already lies in the target."""
    image = osp.realpath(next(iter(pairs.values()))[0])
    return image.startswith(osp.realpath(target) + os.sep)


def _files_below(folder: str) -> set[str]:
    """Relative names of the files of a folder."""
    return {
        osp.relpath(osp.join(place, name), folder).replace(os.sep, '/')
        for place, _, names in os.walk(folder)
        for name in names
    }
