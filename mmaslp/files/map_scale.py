"""Whether the scale of a set of probability maps can be right."""

from pathlib import Path

import numpy as np

from .nnunet_maps import NNUNetDataset, find_dataset, read_npz_probability
from .prob_maps import StoredMap, read_logit_map, read_stored_map

__all__ = ['MapReader']

# The largest value of a whole set that stands for probability 1 in another scale, by
# the kind of the maps: 0/1 masks, per cent, 8 bits in 16, and 10 to 15 bits.
_OTHER_TOPS = {
    '8-bit': (1, 100),
    '16-bit': (1, 100, 255, 1000, 1023, 4095, 10000, 16383, 32767),
}
# 16-bit maps that end here hold 8 bits, whatever their largest value is.
_EIGHT_BITS = 255


class MapReader:
    """Reads the maps of one set and remembers how far their values go.

    A dark map may be right: a network that is sure of an empty scene gives one. So
    only the largest value of the whole set says that the scale is another one. Nothing
    but that value is kept.

    Args:
        max_value (float, optional): The value that stands for probability 1, as the
            user states it. Defaults to None: that of the kind of file.
        logits (bool): Whether the files hold logits, as .npy or .npz. Defaults to
            False.
        key (str, optional): Name of the array in .npz files. Defaults to None: the only
            one, or nnU-Net's ``probabilities``.
        channel (int | str, optional): The foreground among several channels. Defaults
            to None: the only one.

    Raises:
        ValueError: ``max_value`` is not a number above 0 (when a map is read).
    """

    def __init__(
        self,
        max_value: float | None = None,
        logits: bool = False,
        key: str | None = None,
        channel: int | str | None = None,
    ) -> None:
        self.max_value = max_value
        self.logits = logits
        self.key = key
        self.channel = channel
        self._highest: dict[str, tuple[float, Path]] = {}
        self._tops: dict[str, float] = {}
        self._datasets: dict[Path, NNUNetDataset | None] = {}

    def read_stored(self, path: str | Path) -> StoredMap:
        """Read one map as it is stored.

        Args:
            path (str | Path): See :func:`~mmaslp.files.prob_maps.read_prob_map`.

        Raises:
            ValueError: See there.
        """
        stored = read_stored_map(path, self.max_value)
        high = float(stored.values.max())
        if high > self._highest.get(stored.kind, (-np.inf,))[0]:
            self._highest[stored.kind] = high, Path(path)
        self._tops[stored.kind] = stored.top
        return stored

    def read(self, path: str | Path) -> np.ndarray:
        """Read one map as ``(H, W)`` probabilities, or logits; ``(D, H, W)`` of npz.

        Args:
            path (str | Path): See :func:`~mmaslp.files.prob_maps.read_prob_map`; or
                .npz, see :func:`~mmaslp.files.nnunet_maps.read_npz_probability`.

        Raises:
            ValueError: See there.
        """
        if self.logits:
            return read_logit_map(path, self.key)
        if Path(path).suffix.lower() == '.npz':
            dataset = self.dataset_of(path)
            return read_npz_probability(path, self.key, self.channel, dataset)
        return self.read_stored(path).probability

    def dataset_of(self, path: str | Path) -> NNUNetDataset | None:
        """What nnU-Net's ``dataset.json`` says of a .npz map; None without one."""
        if Path(path).suffix.lower() != '.npz':
            return None
        folder = Path(path).parent
        if folder not in self._datasets:
            self._datasets[folder] = find_dataset(folder)
        return self._datasets[folder]

    def merge(self, other: 'MapReader') -> None:
        """Take in what another reader of the same set has seen."""
        for kind, (high, path) in other._highest.items():
            if high > self._highest.get(kind, (-np.inf,))[0]:
                self._highest[kind] = high, path
        self._tops.update(other._tops)

    def problem(self) -> str:
        """Say, after the last map, why the scale cannot be right; '' if it can."""
        if self.max_value is not None:
            return ''
        for kind, (high, path) in self._highest.items():
            likely = _other_top(kind, high)
            if likely is None:
                continue
            top = self._tops[kind]
            return (
                f'{path}: its {high:g} is the largest value of all {kind} maps, so no '
                f'probability would be above {high / top:.2g}: their scale is another '
                f'one. State which value stands for probability 1: --max-value '
                f'{likely:g}, or --max-value {top:g} if the maps are right so'
            )
        return ''


def _other_top(kind: str, high: float) -> int | None:
    """The value that stands for 1 in maps that end at ``high``; None if all is well."""
    known = _OTHER_TOPS.get(kind, ())
    if high in known:
        return int(high)
    if kind == '16-bit' and 0 < high <= _EIGHT_BITS:
        return _EIGHT_BITS
    return None
