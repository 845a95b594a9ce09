"""The table of perturbation levels, one per training image."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from .draws import ENCODING_ERRORS, image_keys

__all__ = ['AlphaBank']

# The released solver lets levels of a weak perturbation rise above 1.
_MAX_LEVEL = 100.0


class AlphaBank:
    """Perturbation levels keyed by image id.

    Rows are sorted by the 64-bit hash of the id, so a batch is looked up by binary
    search: the cost does not depend on the number of images in any way that matters.
    Ids are kept as one block of bytes (a million paths take their own length, no Python
    object each).

    Args:
        ids (Iterable[str]): Image ids; repeated ones share a row.
        level (float): Level that every image starts with. Defaults to 0.

    Attributes:
        alpha (Tensor): ``(len(bank),)``, float64, on the CPU. Updated in place.

    Raises:
        ValueError: If there is no id, an id holds a line break, or two different ids
            have the same hash.
    """

    def __init__(self, ids: Iterable[str], level: float = 0.0):
        unique = list(dict.fromkeys(ids))
        if not unique:
            raise ValueError('ids is empty: the training set has no image')
        keys = image_keys(unique)
        order = np.argsort(keys, kind='stable')
        self.keys = keys[order]
        if (self.keys[1:] == self.keys[:-1]).any():
            row = int(np.flatnonzero(self.keys[1:] == self.keys[:-1])[0])
            raise ValueError(
                f'the ids {unique[order[row]]!r} and {unique[order[row + 1]]!r} have '
                'the same 64-bit hash: rename one of the files'
            )
        text = '\n'.join([unique[i] for i in order])
        if text.count('\n') != len(unique) - 1:
            raise ValueError('an id holds a line break: rename the file')
        self._text = torch.frombuffer(
            bytearray(text.encode(errors=ENCODING_ERRORS)), dtype=torch.uint8
        )
        self.alpha = torch.full((len(unique),), float(level), dtype=torch.float64)

    def __len__(self) -> int:
        return self.alpha.numel()

    @property
    def ids(self) -> list[str]:
        """Ids in row order, decoded anew at each call."""
        return _decode(self._text)

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

        ``alpha`` is the live tensor and not a copy, so that a reference to this state
        stays current without any work per iteration.
        """
        return dict(ids=self._text, alpha=self.alpha)

    def load_state_dict(self, state: dict[str, Tensor]) -> int:
        """Take over the levels of the images that both banks know.

        Args:
            state (dict[str, Tensor]): What :meth:`state_dict` gave.

        Returns:
            int: Number of images of this bank that were found in ``state``.

        Raises:
            ValueError: If the state is damaged.
        """
        try:
            # A resumed state arrives on the device of the run.
            ids, alpha = _decode(state['ids']), state['alpha'].cpu().double()
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f'damaged state of an AlphaBank: {error!r}') from error
        if alpha.shape != (len(ids),):
            raise ValueError(
                f'damaged state of an AlphaBank: {len(ids)} ids, alpha of shape '
                f'{tuple(alpha.shape)}'
            )
        if not ((alpha >= 0) & (alpha <= _MAX_LEVEL)).all():
            raise ValueError(
                'damaged state of an AlphaBank: alpha holds nan or a value outside '
                f'[0, {_MAX_LEVEL:g}]'
            )
        rows = self.rows(image_keys(ids))
        known = rows >= 0
        self.alpha[torch.from_numpy(rows[known])] = alpha[torch.from_numpy(known)]
        return int(known.sum())


def _decode(text: Tensor) -> list[str]:
    return text.cpu().numpy().tobytes().decode(errors=ENCODING_ERRORS).split('\n')
