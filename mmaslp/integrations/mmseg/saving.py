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
        if isinstance(hook, CheckpointHook):
            _let_save_beside(hook, takeover)
    return True


def _let_save_beside(hook: Any, takeover: Takeover | None) -> None:
    """Put what saves beside in the place of the methods by which a hook saves.

    MMEngine calls them in the hook that the config names, which may be of a class that
    a user derived. It stays the same object, of the same class.
    """
    if not hasattr(hook, 'safe_saving'):
        safe_saving = SafeSaving(hook)
        hook.safe_saving = safe_saving
        hook.after_train_iter = safe_saving.after_train_iter
        hook.after_train_epoch = safe_saving.after_train_epoch
        hook.after_val_epoch = safe_saving.after_val_epoch
        hook.after_train = safe_saving.after_train
    if takeover is not None:
        hook.safe_saving.takeover = takeover


class SafeSaving:
    """Calls the methods of a CheckpointHook, which then saves into a folder beside.

    Attributes:
        hook (CheckpointHook): The hook, which knows what it saves, and when.
        takeover (Takeover | None): What happens after the first checkpoint.
    """

    def __init__(self, hook: CheckpointHook) -> None:
        self.hook = hook
        self.takeover: Takeover | None = None
        # What is replaced in the hook.
        self._after_train_iter = hook.after_train_iter
        self._after_train_epoch = hook.after_train_epoch
        self._after_val_epoch = hook.after_val_epoch
        self._after_train = hook.after_train

    def after_train_iter(self, runner: Any, *args: Any, **options: Any) -> None:
        """Save, if it is time."""
        with self._saving(runner) as beside:
            self._after_train_iter(beside, *args, **options)

    def after_train_epoch(self, runner: Any) -> None:
        """Save, if it is time."""
        with self._saving(runner) as beside:
            self._after_train_epoch(beside)

    def after_val_epoch(self, runner: Any, metrics: dict) -> None:
        """Save the best; refuse a ``save_best`` that no metric gives."""
        wanted = getattr(self.hook, 'key_indicators', ())
        unknown = set(wanted) - {'auto'} - metrics.keys()
        if metrics and unknown:
            raise ValueError(
                f'save_best={min(unknown)!r}: the validation gives no such metric, but '
                f'{", ".join(sorted(metrics))}'
            )
        with self._saving(runner) as beside:
            self._after_val_epoch(beside, metrics)

    def after_train(self, runner: Any) -> None:
        """Publish; leave no file that is not whole."""
        folder = self.hook.out_dir
        before = _names(folder)
        try:
            self._after_train(runner)
        except OSError as error:
            for name in _names(folder) - before:
                os.remove(os.path.join(folder, name))
            raise _naming(error, Path(folder)) from error

    @contextmanager
    def _saving(self, runner: Any) -> Iterator[Any]:
        """Give the hook a runner that saves beside; then rename and remove.

        Raises:
            OSError: Something cannot be written; names the file.
        """
        if not is_main_process():
            yield runner
            return

        beside = RunnerBeside(runner)
        backend = self.hook.file_backend
        kept = KeptFiles(backend)
        self.hook.file_backend = kept
        try:
            yield beside
            saved = beside.publish()
            kept.remove_but(saved)
            if saved and self.takeover is not None:
                self.takeover.run(saved)
        except OSError as error:
            raise _naming(error, beside.target) from error
        finally:
            self.hook.file_backend = backend
            beside.remove_parts()


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
