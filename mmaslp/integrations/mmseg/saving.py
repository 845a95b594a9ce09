"""Checkpoints are written beside the old ones, renamed, and only then replace them.

MMEngine removes a checkpoint before it writes the one that replaces it, and it writes
under the final name: on a full disk nothing whole may be left.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from .work_dir import Takeover

# Holds what is not whole yet, in each folder of checkpoints.
PARTS = '.mmaslp.saving'
LAST = 'last_checkpoint'


def save_safely(runner: Any, takeover: Takeover | None = None) -> bool:
    """Let the hooks of a runner that save checkpoints write beside, and then rename.

    What they replace is removed afterwards. If a checkpoint cannot be written, the old
    ones stay, no part of the new one is left, and the error names the file. In
    processes of another runner than ``Runner``, each of which writes a part of a
    checkpoint, and on remote disks, MMEngine saves as ever.

    Args:
        runner (Runner): Of a training.
        takeover (Takeover, optional): What happens after the first checkpoint.

    Returns:
        bool: Whether the runner saves so.
    """
    if get_world_size() > 1 and not isinstance(runner, Runner):
        return False

    for hook in runner.hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        if not isinstance(hook, SavesBeside):
            # Also one of a class that a user derived.
            base = type(hook)
            hook.__class__ = type(f'Safe{base.__name__}', (SavesBeside, base), {})
        if takeover is not None:
            hook.takeover = takeover
    return True


class SavesBeside(CheckpointHook):
    """Saves as MMEngine's hook does, into a folder beside."""

    takeover: Takeover | None = None

    def after_train_iter(self, runner: Any, *args: Any, **options: Any) -> None:
        """Save, if it is time."""
        with saving(self, runner) as beside:
            super().after_train_iter(beside, *args, **options)

    def after_train_epoch(self, runner: Any) -> None:
        """Save, if it is time."""
        with saving(self, runner) as beside:
            super().after_train_epoch(beside)

    def after_val_epoch(self, runner: Any, metrics: dict) -> None:
        """Save the best; refuse a ``save_best`` that no metric gives."""
        keys = set(getattr(self, 'key_indicators', ())) - {'auto'} - metrics.keys()
        if metrics and keys:
            raise ValueError(
                f'save_best={min(keys)!r}: the validation gives no such metric, but '
                f'{", ".join(sorted(metrics))}'
            )
        with saving(self, runner) as beside:
            super().after_val_epoch(beside, metrics)

    def after_train(self, runner: Any) -> None:
        """Publish; leave no file that is not whole."""
        before = _names(self.out_dir)
        try:
            super().after_train(runner)
        except OSError as error:
            for name in _names(self.out_dir) - before:
                os.remove(os.path.join(self.out_dir, name))
            raise _naming(error, Path(self.out_dir)) from error


class RunnerBeside:
    """Stands for a runner while it saves, and lets it write into a folder beside."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        # Where each checkpoint is written, and where it will be.
        self._checkpoints: dict[Path, Path] = {}
        self._folders: set[Path] = set()
        self.target = Path(runner.work_dir) / LAST

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    @property
    def work_dir(self) -> str:
        """Where the hook writes the name of the last checkpoint."""
        return str(Path(self._runner.work_dir) / PARTS)

    def save_checkpoint(
        self, out_dir: str, filename: str, *args: Any, **options: Any
    ) -> None:
        """Save beside ``out_dir``, but for a remote one."""
        self._begin(Path(self.work_dir))
        if '://' in str(out_dir):
            self._runner.save_checkpoint(out_dir, filename, *args, **options)
            return

        folder = Path(out_dir) / PARTS
        self._begin(folder)
        self.target = Path(out_dir) / filename
        self._runner.save_checkpoint(str(folder), filename, *args, **options)
        self._checkpoints[folder / filename] = self.target
        self.target = Path(self._runner.work_dir) / LAST

    def _begin(self, folder: Path) -> None:
        if folder not in self._folders:
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            self._folders.add(folder)
            folder.mkdir(parents=True)

    def publish(self) -> set[str]:
        """Rename what is whole: checkpoints, then what names the last of them.

        Returns:
            set[str]: The real paths of what was saved.
        """
        if not self._folders:
            return set()
        for part, target in self._checkpoints.items():
            _rename(part, target)

        work_dir = Path(self._runner.work_dir)
        saved = list(self._checkpoints.values())
        for part in Path(self.work_dir).rglob('*'):
            if part.is_file():
                target = work_dir / part.relative_to(self.work_dir)
                _rename(part, target)
                saved.append(target)
        return set(map(os.path.realpath, saved))

    def remove_parts(self) -> None:
        """Remove what could not be saved."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


class KeptFiles:
    """Stands for the disk of a hook: what it removes stays until the new is whole."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._files: list[str] = []
        self._folders: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Note a file that will be removed."""
        self._files.append(path)

    def rmtree(self, path: str) -> None:
        """Note a folder that will be removed."""
        self._folders.append(path)

    def remove_but(self, saved: set[str]) -> None:
        """Remove what was noted, but for what was saved again under its name."""
        for path in self._files:
            if os.path.realpath(path) not in saved:
                self._backend.remove(path)
        for path in self._folders:
            if os.path.realpath(path) not in saved:
                self._backend.rmtree(path)


@contextmanager
def saving(hook: SavesBeside, runner: Any) -> Iterator[Any]:
    """Give a hook the runner that saves beside; then rename and remove.

    Raises:
        OSError: Something cannot be written; names the file.
    """
    if not is_main_process():
        yield runner
        return

    beside = RunnerBeside(runner)
    backend = hook.file_backend
    hook.file_backend = kept = KeptFiles(backend)
    try:
        yield beside
        saved = beside.publish()
        kept.remove_but(saved)
        if saved and hook.takeover is not None:
            hook.takeover.run(saved)
    except OSError as error:
        raise _naming(error, beside.target) from error
    finally:
        hook.file_backend = backend
        beside.remove_parts()


def _rename(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir() and not target.is_symlink():
        target.rename(part.with_name(f'{part.name}.old'))  # of shards
    part.replace(target)


def _naming(error: OSError, target: Path) -> OSError:
    """An error that names the file, and not the part of it, or nothing."""
    if error.filename is not None and PARTS not in str(error.filename):
        return error
    words = f'cannot be written ({error.strerror})'
    return OSError(error.errno, words, str(target))


def _names(folder: str) -> set[str]:
    if not os.path.isdir(folder):
        return set()
    return set(os.listdir(folder))
