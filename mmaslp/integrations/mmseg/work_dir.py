"""The work directory of a training: what it holds, and whose that is."""

import os
import re
import shutil
import zipfile
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...common.inputs import Stamp, stamp_of
from ...common.outputs import check_output
from ...training.written import note_written, written_by_training
from .checkpoint import load_safely

# What a training leaves, and a later one would replace or take for its own.
_REPLACED = re.compile(
    r'(best_.+_)?(epoch|iter)_\d+\.pth|last_checkpoint|alpha\.csv|calibrator\.json'
)
# The table of images that levels by image and band write.
IMAGE_TABLE = 'levels.csv'


def earlier_training(folder: str) -> list[str]:
    """List what an earlier training left that another one would replace."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    paths = []
    for name in sorted(names):
        path = os.path.join(folder, name)
        # Of folders only one of shards is a training's.
        is_file = not os.path.isdir(path) or name.endswith('.pth')
        if is_file and _REPLACED.fullmatch(name):
            paths.append(path)

    # A training that was stopped at its first checkpoint leaves a table alone.
    alone = [os.path.basename(path) for path in paths] == ['alpha.csv']
    if alone and written_by_training(paths[0]):
        return []
    return paths


def files_taken_over(folder: str) -> list[str]:
    """List what a training with ``--overwrite`` takes the place of.

    ``levels.csv`` is a name that a person may give a file too, which then stays.
    """
    paths = earlier_training(folder)
    table = os.path.join(folder, IMAGE_TABLE)
    if written_by_training(table):
        paths.append(table)
    return paths


def remove_files(paths: Collection[str]) -> None:
    """Remove files, and checkpoints that are folders of shards."""
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)


def lies_in(folder: str, path: str | None) -> bool:
    """Whether a path leads into a folder."""
    real = os.path.realpath(os.path.expanduser(path or ''))
    return bool(path) and real.startswith(os.path.realpath(folder) + os.sep)


def check_replaceable(runner: Any, path: str | Path) -> None:
    """Refuse to replace what a person put into a work directory, before the first step.

    What a training wrote, and nobody changed, is replaced by the training that goes on
    there, and an earlier training by that with ``--overwrite``.

    Args:
        runner (Runner): Of the training.
        path (str | Path): What the training will write at its end, by a hook that then
            calls :func:`note_written`.

    Raises:
        FileExistsError: A file is there, and no training wrote it as it is.
        ValueError: A folder is there.
    """
    replaces = getattr(runner, 'replaces_training', False)
    try:
        check_output(path, replaces or written_by_training(path))
    except FileExistsError as error:
        raise FileExistsError(
            f'{path} exists already, and it is not as a training wrote it; this '
            'training would replace it: move it elsewhere, or name another `work_dir`'
        ) from error


def is_dumped_config(path: Path) -> bool:
    """Whether a config in a work directory is the copy that MMEngine wrote there.

    A checkpoint holds the text of that copy.
    """
    if written_by_training(path):
        return True

    text = path.read_text(encoding='utf-8', errors='replace')
    for checkpoint in earlier_training(str(path.parent)):
        if not checkpoint.endswith('.pth'):
            continue
        # Damaged ones, those that ask for code, and folders of shards say nothing.
        with suppress(OSError, ValueError):
            content = load_safely(checkpoint, mmap=zipfile.is_zipfile(checkpoint))
            if content['meta'].get('cfg') == text:
                return True
    return False


@dataclass
class Takeover:
    """What happens to the files of an earlier training, once the new one has saved.

    Attributes:
        earlier (list[str]): Files that the new training takes the place of.
        dumped (Path | None): The config of the new training, under a name of its own.
        config (Path | None): The config of the earlier one, whose place it takes.
    """

    earlier: list[str] = field(default_factory=list)
    dumped: Path | None = None
    config: Path | None = None
    _stamps: dict[str, Stamp | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._stamps = {path: stamp_of(path) for path in self.earlier}

    def run(self, saved: Collection[str]) -> None:
        """Remove and rename, once; ``saved`` are real paths of the new training.

        A table that the new training has written in the meantime stays.
        """
        stale = []
        for path in self.earlier:
            is_new = os.path.realpath(path) in saved
            if not is_new and stamp_of(path) == self._stamps[path]:
                stale.append(path)
        remove_files(stale)
        self.earlier = []

        if self.dumped is not None and self.config is not None:
            os.replace(self.dumped, self.config)
            note_written(self.config)
        self.dumped = None
