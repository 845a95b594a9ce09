"""Reading checkpoints without running anything of them."""

import ast
import os.path as osp
import pickle
import pickletools
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import torch
from mmengine.dist import barrier, get_rank
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_http, load_from_local

from .checkpoint import ADMITTED, admits_by_name

__all__ = ['CodeInCheckpoint', 'check_saved_config', 'load_safely', 'safe_loading']

# What torch < 2.6 admits of torch itself; later versions have a list of their own.
_TORCH = re.compile(
    r'torch\._utils\._rebuild_(tensor|tensor_v2|parameter)|collections\.OrderedDict|'
    r'torch\.(Size|device|(storage\.)?[A-Za-z]*Storage|b?float\d*|half|double|u?int\d+|'
    r'long|short|bool|complex\d+)|_codecs\.encode'
)
_NAMED = re.compile(r'GLOBAL ([\w.]+)')
# The containers that a config saved as text may call.
_PLAIN_CALLS = ('dict', 'list', 'tuple', 'set')
_PLAIN_NODES = (
    *(ast.Module, ast.Assign, ast.Name, ast.Load, ast.Store, ast.Constant, ast.Call),
    *(ast.Dict, ast.List, ast.Tuple, ast.Set, ast.keyword, ast.UnaryOp, ast.USub),
)


class CodeInCheckpoint(ValueError):
    """A checkpoint asks for something that could run code; nothing of it ran."""

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(
            f'{path} asks for {wanted}, which can run any code; it was refused, and '
            'nothing of it ran. If it is your own file, or you trust its author, add '
            '--trust-checkpoint (in Python: trust_checkpoint=True)'
        )


class _Unpickler(pickle.Unpickler):
    """Finds the admitted names only, for torch < 2.6."""

    def find_class(self, module: str, name: str) -> Any:
        full = f'{module}.{name}'
        if full in ADMITTED:
            return ADMITTED[full]
        if _TORCH.fullmatch(full):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'unsupported GLOBAL {full}')


class _Pickle:
    """What ``torch.load`` takes as ``pickle_module``."""

    Unpickler = _Unpickler
    UnpicklingError = pickle.UnpicklingError

    @staticmethod
    def load(file: IO[bytes], **options: Any) -> Any:
        return _Unpickler(file, **options).load()


def load_safely(path: str, map_location: Any = 'cpu', mmap: bool = False) -> Any:
    """Read a checkpoint, of which only tensors and plain values are built."""
    path = osp.expanduser(path)
    if admits_by_name():
        how: dict[str, Any] = dict(weights_only=True)
    else:
        how = dict(weights_only=False, pickle_module=_Pickle)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of unusual protocols of the pickle
            return torch.load(path, map_location=map_location, mmap=mmap or None, **how)
    except Exception as error:  # torch and pickle raise a dozen types on foreign files
        raise _refusal(path, error) from None


def _refusal(path: str, error: Exception) -> Exception:
    """What to raise for a file that could not be read safely."""
    if isinstance(error, OSError) and error.errno:
        return error
    wanted = _NAMED.findall(str(error))
    if not wanted and isinstance(error, pickle.UnpicklingError) and osp.isfile(path):
        wanted = [n for n in dict.fromkeys(_globals(path)) if n not in ADMITTED]
    if wanted:
        return CodeInCheckpoint(path, ', '.join(wanted[:3]))
    reason = re.split(r'\n|\. ', str(error))[0] or type(error).__name__
    return ValueError(f'{path} cannot be read as a checkpoint ({reason})')


def check_saved_config(checkpoint: Any, path: str) -> None:
    """Refuse a saved config that is more than plain values.

    MMEngine executes ``meta.config``, the text of the config, when a run is resumed.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    text = meta.get('config') if isinstance(meta, dict) else None
    if isinstance(text, str) and not _is_plain(text):
        raise CodeInCheckpoint(path, 'a config of more than plain values (meta.config)')


@contextmanager
def safe_loading(trust: bool = False) -> Iterator[None]:
    """Let MMEngine read all checkpoints by :func:`load_safely` for a while.

    Of local files and of ``http(s)``; so also those of ``init_cfg``. MMEngine's own
    loader runs what is pickled in a file if the safe way of reading it fails.
    """
    local = _load_trusted if trust else _load_safely
    CheckpointLoader.register_scheme('', local, force=True)
    if not trust:
        CheckpointLoader.register_scheme(
            ('http://', 'https://'), _download_safely, force=True
        )
    try:
        yield
    finally:
        CheckpointLoader.register_scheme('', load_from_local, force=True)
        CheckpointLoader.register_scheme(
            ('http://', 'https://'), load_from_http, force=True
        )


def _load_safely(filename: str, map_location: Any = None) -> Any:
    _check_exists(filename)
    return load_safely(filename, map_location)


def _load_trusted(filename: str, map_location: Any = None) -> Any:
    _check_exists(filename)
    path = osp.expanduser(filename)
    return torch.load(path, map_location=map_location, weights_only=False)


def _download_safely(
    filename: str, map_location: Any = None, model_dir: str | None = None
) -> Any:
    # The first process downloads; the others find the file in the cache.
    def load() -> Any:
        try:
            return torch.hub.load_state_dict_from_url(
                filename, model_dir, map_location, weights_only=True
            )
        except Exception as error:
            raise _refusal(filename, error) from None

    checkpoint = load() if get_rank() == 0 else None
    barrier()
    return load() if checkpoint is None else checkpoint


def _check_exists(filename: str) -> None:
    if not osp.isfile(osp.expanduser(filename)):
        raise FileNotFoundError(f'no checkpoint at {osp.abspath(filename)}')


def _globals(path: str) -> Iterator[str]:
    """Full names of all that the pickles of a file look up, without loading it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith('.pkl'):
                    with archive.open(name) as file:
                        yield from _names(file)
        return
    with open(path, 'rb') as file:
        yield from _names(file)


def _names(file: IO[bytes]) -> Iterator[str]:
    memo: list[Any] = []
    pushed: list[Any] = [None, None]
    try:
        while True:  # the legacy format has several pickles
            for code, value, _ in pickletools.genops(file):
                if code.name == 'GLOBAL':
                    yield value.replace(' ', '.')
                elif code.name == 'STACK_GLOBAL':
                    yield f'{pushed[-2]}.{pushed[-1]}'
                elif code.name == 'MEMOIZE':
                    memo.append(pushed[-1])
                elif code.name in ('BINGET', 'LONG_BINGET') and value < len(memo):
                    pushed.append(memo[value])
                elif isinstance(value, str):
                    pushed.append(value)
    except ValueError:
        return  # the end of the file, or its tensors


def _is_plain(text: str) -> bool:
    # '{{' is replaced by MMEngine before it executes the text.
    if '{{' in text:
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _PLAIN_NODES):
            return False
        if isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id in _PLAIN_CALLS
        ):
            return False
    return all(map(_is_plain_setting, tree.body))


def _is_plain_setting(node: Any) -> bool:
    """Whether an assignment reads no other file and imports nothing new."""
    if not isinstance(node, ast.Assign):
        return False
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    if len(names) != 1 or names[0] == '_base_':
        return False
    if names[0] != 'custom_imports':
        return True
    # All that this run imports is there already.
    texts = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return all(t in sys.modules for t in texts if isinstance(t, str))
