"""Dividing a set into training, validation and test images."""

import random
from collections.abc import Collection
from dataclasses import dataclass

from ..core.argument_checks import check_integer, check_number, optional
from .pairing import read_list, select

__all__ = ['Split']


@dataclass(frozen=True)
class Split:
    """How a set is divided: by a list or at random.

    Attributes:
        val_list (str, optional): File with the names of the validation images.
        val_ratio (float, optional): Else their share, in [0, 1). Defaults to None:
            that of the set.
        test_ratio (float): Share of test images, in [0, 1).
        seed (int): Of the random choice.
    """

    val_list: str | None = None
    val_ratio: float | None = None
    test_ratio: float = 0.2
    seed: int = 0

    def check(self, with_test: bool) -> None:
        """Refuse shares that leave no training images.

        Args:
            with_test (bool): Whether to take test images too.

        Raises:
            ValueError: If a share is negative or their sum is 1 or more.
        """
        check_integer('seed', self.seed, hint=' (--seed)')
        given = {'--val-ratio': self.val_ratio, '--test-ratio': self.test_ratio}
        for name, ratio in given.items():
            optional(check_number, name, ratio)
        ratios = [self.val_ratio or 0, self.test_ratio if with_test else 0]
        if min(ratios) < 0 or sum(ratios) >= 1:
            raise ValueError(
                '--val-ratio and --test-ratio must not be negative and leave something '
                f'to train on, not {self.val_ratio} and {self.test_ratio}'
            )

    def divide(
        self,
        names: Collection[str],
        left_out: Collection[str],
        val_ratio: float,
        with_test: bool = False,
    ) -> dict[str, list[str]]:
        """Divide names; the same seed and names give the same parts.

        Args:
            names (Collection[str]): Names of all usable images.
            left_out (Collection[str]): Names of bad images, which the list may contain.
            val_ratio (float): Share of validation images if this split has none.
            with_test (bool): Whether to take test images too. Defaults to False.

        Returns:
            dict[str, list[str]]: Sorted names of ``train``, ``val`` and ``test``; empty
            parts are left out.

        Raises:
            ValueError: The list names other images, or no training image is left.
        """
        names = sorted(names)
        shuffled = random.Random(self.seed).sample(names, len(names))
        if self.val_list:
            known = dict.fromkeys([*names, *left_out])
            listed = select(
                known, read_list(self.val_list), self.val_list, 'the source'
            )
            val = [name for name in shuffled if name in listed]
            rest = [name for name in shuffled if name not in listed]
        else:
            ratio = val_ratio if self.val_ratio is None else self.val_ratio
            count = round(ratio * len(names))
            val, rest = shuffled[:count], shuffled[count:]
        count = round(self.test_ratio * len(names)) if with_test else 0
        parts = {'train': rest[count:], 'val': val, 'test': rest[:count]}
        if not parts['train']:
            raise ValueError('the split leaves no image to train on')
        return {part: sorted(found) for part, found in parts.items() if found}
