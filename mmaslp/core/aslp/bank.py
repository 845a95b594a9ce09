"""The table of perturbation levels, one per training image."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from .counter_rng import ENCODING_ERRORS, encode_ids, image_keys, refuse_one_id

__all__ = ['AlphaBank']

# The released solver lets levels of a weak perturbation rise above 1.
_MAX_LEVEL = 100.0
# How many ids are Python objects at the same time.
_BLOCK = 1 << 16


class AlphaBank:
    """Perturbation levels keyed by image id.

    Rows are sorted by the 64-bit hash of the id, and binary search finds the rows of a
    batch. So the cost hardly depends on the number of images. Ids are kept as one block
    of bytes, without a Python object per path.

    Args:
        ids (Iterable[str]): Image ids; repeated ids share a row.
        level (float): Level that every image starts with. Defaults to 0.

    Attributes:
        alpha (Tensor): ``(len(bank),)``, float64, on the CPU. Updated in place.

    Raises:
        ValueError: If there is no id, an id is not a string or holds a line break, or
            two different ids have the same hash.
    """

    def __init__(self, ids: Iterable[str], level: float = 0.0):
        text, starts, keys = _pack(ids)
        if not len(keys):
            raise ValueError('ids is empty: the training set has no image')
        order = np.argsort(keys, kind='stable')
        keys = keys[order]
        again = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        for row in again:
            one, other = (_line(text, starts, i) for i in order[row - 1 : row + 1])
            if one != other:
                raise ValueError(
                    f'the ids {_string(one)!r} and {_string(other)!r} have the same '
                    '64-bit hash: rename one of the files'
                )
        order = np.delete(order, again)
        self.keys = np.delete(keys, again)
        self._text = torch.from_numpy(_gather_lines(text, starts, order))
        self.alpha = torch.full((len(order),), float(level), dtype=torch.float64)

    def __len__(self) -> int:
        return self.alpha.numel()

    @property
    def ids(self) -> list[str]:
        """Ids in row order, decoded anew at each call."""
        return _decode(self._text)

    @property
    def first_id(self) -> str:
        """Id of the first row, for messages; decodes only this one."""
        text = self._text.numpy()
        ends = np.flatnonzero(text == ord('\n'))
        return _string(text[: ends[0] if len(ends) else None].tobytes())

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Find the rows of a batch.

        Args:
            keys (np.ndarray): ``(N,)``, uint64, of :func:`image_keys`.

        Returns:
            np.ndarray: ``(N,)``, int64; -1 for an image that is not in the bank.
        """
        rows = np.searchsorted(self.keys, keys)
        rows[rows == len(self.keys)] = 0
        return np.where(self.keys[rows] == keys, rows, -1)

    def state_dict(self) -> dict[str, Tensor]:
        """Plain tensors: ``ids`` (uint8, UTF-8 lines) and ``alpha`` (float64).

        ``alpha`` is the live tensor, not a copy. So a reference to this state stays
        current without any work per iteration.
        """
        return dict(ids=self._text, alpha=self.alpha)

    def load_state_dict(self, state: dict[str, Tensor]) -> int:
        """Take over the levels of the images that are in both banks.

        Args:
            state (dict[str, Tensor]): What :meth:`state_dict` gave.

        Returns:
            int: Number of images of this bank that were found in ``state``.

        Raises:
            ValueError: If the state is damaged.
        """
        try:
            # A resumed state arrives on the device of the run.
            text, alpha = state['ids'].cpu(), state['alpha'].cpu().double()
            same = torch.equal(text, self._text)
            keys = self.keys if same else _keys(text)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f'damaged state of an AlphaBank: {error!r}') from error
        if alpha.shape != keys.shape:
            raise ValueError(
                f'damaged state of an AlphaBank: {len(keys)} ids, alpha of shape '
                f'{tuple(alpha.shape)}'
            )
        if not ((alpha >= 0) & (alpha <= _MAX_LEVEL)).all():
            raise ValueError(
                'damaged state of an AlphaBank: alpha holds nan or a value outside '
                f'[0, {_MAX_LEVEL:g}]'
            )
        rows = self.rows(keys)
        known = rows >= 0
        self.alpha[torch.from_numpy(rows[known])] = alpha[torch.from_numpy(known)]
        return int(known.sum())


def _pack(ids: Iterable[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids as lines of bytes, with the start of each and their hashes.

    Works in blocks, so an iterator of any length leaves no Python object per id.
    """
    refuse_one_id(ids)
    text, lengths, keys = bytearray(), [], []
    ids = iter(ids)
    while block := list(islice(ids, _BLOCK)):
        lines = encode_ids(block)
        joined = b'\n'.join(lines)
        if joined.count(b'\n') != len(lines) - 1:
            raise ValueError('an id holds a line break: rename the file')
        text += joined + b'\n'
        lengths.append(np.fromiter(map(len, lines), np.int64, len(lines)) + 1)
        keys.append(image_keys(block))
    starts = np.cumsum(np.concatenate([[0], *lengths]))
    every = np.concatenate(keys) if keys else np.empty(0, np.uint64)
    return np.frombuffer(text, np.uint8), starts, every


def _gather_lines(
    text: np.ndarray, starts: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """Copy lines in another order, without the line break after the last."""
    lengths = starts[order + 1] - starts[order]
    out = np.empty(int(lengths.sum()), np.uint8)
    end = 0
    for i in range(0, len(order), _BLOCK):
        rows, size = order[i : i + _BLOCK], lengths[i : i + _BLOCK]
        first = np.cumsum(size) - size
        index = np.arange(size.sum()) + np.repeat(starts[rows] - first, size)
        out[end : end + len(index)] = text[index]
        end += len(index)
    return out[:-1]


def _line(text: np.ndarray, starts: np.ndarray, i: int) -> bytes:
    return text[starts[i] : starts[i + 1] - 1].tobytes()


def _string(line: bytes) -> str:
    return line.decode(errors=ENCODING_ERRORS)


def _keys(text: Tensor) -> np.ndarray:
    """Hash the lines of a saved text, in blocks."""
    values = text.numpy()
    ends = np.append(np.flatnonzero(values == ord('\n')), len(values))
    begin, keys = 0, []
    for i in range(0, len(ends), _BLOCK):
        end = int(ends[i : i + _BLOCK][-1])
        keys.append(image_keys(_string(values[begin:end].tobytes()).split('\n')))
        begin = end + 1
    return np.concatenate(keys)


def _decode(text: Tensor) -> list[str]:
    return _string(text.numpy().tobytes()).split('\n')
