"""What the callback reads from a batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

__all__ = ['ids_of_batch']


def ids_of_batch(batch: Any, place: str | int | Callable[[Any], Any]) -> list[str]:
    """Read the ids of the images of a batch.

    Args:
        batch (Any): What the training loader gives.
        place (str | int | Callable): Key or index of the batch, or function of it.

    Returns:
        list[str]: N ids; integers as text.

    Raises:
        ValueError: If there are none.
    """
    try:
        found = place(batch) if callable(place) else batch[place]
    except (LookupError, TypeError) as error:
        raise ValueError(
            f'ASLPCallback reads the ids of the images from batch[{place!r}], which '
            f'{_kind(batch)} does not have: let the dataset return the id of the '
            'image, and give batch_ids its place'
        ) from error
    values = found.tolist() if isinstance(found, Tensor) else found
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(
            'ASLPCallback needs one id per image of the batch, a list of strings or a '
            f'tensor of integers, got {values!r}: give batch_ids their place'
        )
    return [str(each) for each in values]


def _kind(batch: Any) -> str:
    if isinstance(batch, Mapping):
        return f'a batch with the keys {", ".join(map(str, batch))}'
    if isinstance(batch, Sequence):
        return f'a batch of {len(batch)} parts'
    return f'a batch of type {type(batch).__name__}'
