"""The table of levels, one per training image."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from .counter_rng import ENCODING_ERRORS, encode_ids, line_keys

# The released solver lets levels of a weak perturbation rise above 1.
_MAX_LEVEL = 100.0


class AlphaBank:
    """Levels keyed by image id.

    Rows are sorted by the 64-bit hash of the id, and binary search finds the rows of a
    batch: the cost hardly depends on the number of images. Ids are kept as one block of
    bytes, without a Python object per path. :attr:`alpha` is updated in place.
    """

    def __init__(self, ids: Iterable[str], level: float = 0.0):
        lines = encode_ids(ids)
        if not lines:
            raise ValueError('ids is empty: the training set has no image')
        if len({*lines}) < len(lines):
            twice = next(line for line in lines if lines.count(line) > 1)
            raise ValueError(
                f'ids hold {twice.decode(errors=ENCODING_ERRORS)!r} more than once: '
                'give each training image an id of its own'
            )
        keys = line_keys(lines)
        order = np.argsort(keys, kind='stable')
        self.keys = keys[order]
        text = b'\n'.join([lines[i] for i in order])
        if text.count(b'\n') != len(lines) - 1:
            raise ValueError('an id holds a line break: rename the file')
        self._text = torch.from_numpy(np.frombuffer(bytearray(text), np.uint8))
        self.alpha = torch.full((len(lines),), float(level), dtype=torch.float64)
        same = np.flatnonzero(self.keys[1:] == self.keys[:-1])
        if len(same):
            pair = self.ids[same[0] : same[0] + 2]
            raise ValueError(f'the ids {pair} have one 64-bit hash: rename a file')

    def __len__(self) -> int:
        return self.alpha.numel()

    @property
    def ids(self) -> list[str]:
        """Ids in row order, decoded anew at each call."""
        text = self._text.numpy().tobytes()
        return text.decode(errors=ENCODING_ERRORS).split('\n')

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows of the images of some keys, ``(N,)``; -1 for one not in the bank."""
        rows = np.searchsorted(self.keys, keys)
        rows[rows == len(self.keys)] = 0
        return np.where(self.keys[rows] == keys, rows, -1)

    def state_dict(self) -> dict[str, Tensor]:
        """``ids`` (uint8, UTF-8 lines) and ``alpha`` (float64), the live tensor."""
        return dict(ids=self._text, alpha=self.alpha)

    def load_state_dict(self, state: dict[str, Tensor]) -> int:
        """Take over the levels of the images that are in both banks; count them."""
        try:
            # A resumed state arrives on the device of the run.
            text, alpha = state['ids'].cpu(), state['alpha'].cpu().double()
            keys = line_keys(text.numpy().tobytes().split(b'\n'))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f'damaged levels of images: {error!r}') from error
        inside = ((alpha >= 0) & (alpha <= _MAX_LEVEL)).all()
        if alpha.shape != keys.shape or not inside:
            raise ValueError(f'damaged levels of images, {len(keys)} ids: {alpha}')
        rows = self.rows(keys)
        known = rows >= 0
        self.alpha[torch.from_numpy(rows[known])] = alpha[torch.from_numpy(known)]
        return int(known.sum())
