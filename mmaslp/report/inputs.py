"""Pictures for the results of folders of maps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..evaluation.comparison import Measured
from ..evaluation.map_folders import read_images
from ..evaluation.result import Result
from ..files.images import IMAGE_SUFFIXES
from ..files.map_pairs import list_files
from ..files.prob_maps import MapReader
from .pictures import PICTURES, chosen, make_picture


def results_of_maps(
    results: Sequence[Result],
    *,
    images: str | None = None,
    pictures: int = PICTURES,
    reader: MapReader | None = None,
) -> list[Result]:
    """Add pictures to results of folders against the same masks.

    The maps of the images that are shown, so many per reason, are read again.
    """
    reasons = chosen([Measured(result).images for result in results], pictures)
    stems = list(dict.fromkeys(stem for names in reasons.values() for stem in names))
    photos = {}
    if images:
        photos = list_files(Path(images), IMAGE_SUFFIXES, 'photograph', [])
    if images and stems and photos.keys().isdisjoint(stems):
        raise ValueError(f'--images {images}: there is none of {stems[0]}')

    illustrated = []
    for result in results:
        maps, masks, protocol = (
            result.settings[key] for key in ('pred_dir', 'gt_dir', 'protocol')
        )
        read = read_images(maps, masks, stems, protocol, reader)
        shown = [
            make_picture(stem, **read[stem], image=photos.get(stem)) for stem in stems
        ]
        illustrated.append(replace(result, pictures=shown))
    return illustrated
