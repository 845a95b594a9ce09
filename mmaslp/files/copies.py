"""Images that lie in a folder twice, under two names."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..common.inputs import sha256_of

# Bytes in the middle of a file that tell most files of one size apart.
SAMPLE = 4096


@dataclass(frozen=True)
class _Image:
    name: str
    files: tuple[Path, ...]


def find_copies(images: Mapping[str, Iterable[Path]]) -> list[list[str]]:
    """Find images whose files are equal, byte by byte.

    Args:
        images (Mapping): The files of each image, such as a map and its mask, by name.

    Returns:
        list[list[str]]: Names of the images of each group of copies, as they come.

    Raises:
        OSError: A file cannot be read.
    """
    groups = [[_Image(name, tuple(files)) for name, files in images.items()]]
    # From what costs least: few files have the size of another one.
    for key in (_size, _sample, sha256_of):
        groups = [alike for group in groups for alike in _alike(group, key)]
    return [[image.name for image in group] for group in groups]


def _alike(
    images: list[_Image], key: Callable[[Path], Hashable]
) -> Iterator[list[_Image]]:
    """Images that have the keys of another one, those of one key together."""
    groups: dict[Hashable, list[_Image]] = defaultdict(list)
    for image in images:
        groups[tuple(key(file) for file in image.files)].append(image)
    for group in groups.values():
        if len(group) > 1:
            yield group


def _size(file: Path) -> int:
    return file.stat().st_size


def _sample(file: Path) -> bytes:
    with open(file, 'rb') as opened:
        opened.seek(max(0, (_size(file) - SAMPLE) // 2))
        return opened.read(SAMPLE)
