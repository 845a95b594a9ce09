"""Pictures for the results of folders of maps."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..common.arrays import apply_protocol
from ..evaluation.comparison import Measured
from ..evaluation.result import Result
from ..files.images import IMAGE_SUFFIXES
from ..files.map_pairs import list_files, pair_files, read_pair
from ..files.prob_maps import MapReader
from .pictures import chosen, make_picture


def results_of_maps(
    results: Sequence[Result], reader: MapReader, images: str | None = None
) -> list[Result]:
    """Add pictures to results of folders against the same masks.

    The maps of the images that are shown are read again. ``images`` is the folder of
    the photographs.
    """
    slices = {}
    reasons = chosen([Measured(result).images for result in results])
    stems = dict.fromkeys(stem for names in reasons.values() for stem in names)
    photos = {}
    if images:
        photos = list_files(Path(images), IMAGE_SUFFIXES, 'photograph', [])
        if stems and photos.keys().isdisjoint(stems):
            raise ValueError(f'--images {images}: there is none of {next(iter(stems))}')
    return [
        replace(result, pictures=[*_pictures(result, stems, photos, reader, slices)])
        for result in results
    ]


def _pictures(
    result: Result,
    stems: Collection[str],
    photos: Mapping[str, Path],
    reader: MapReader,
    slices: dict[str, int],
) -> Iterator[dict[str, Any]]:
    """Read some maps of a folder again, with their masks.

    A volume is shown in one slice, ``slices`` by its name: the first folder chooses, so
    that the maps of all models lie beside the mask of the same slice.
    """
    folders = [result.settings[key] for key in ('pred_dir', 'gt_dir')]
    pairs, _ = pair_files(*folders)
    for stem in stems:
        if stem not in pairs:
            raise ValueError(f'{stem}: neither {" nor ".join(folders)} may change')
        prob, label = read_pair(reader, *pairs[stem])
        prob = np.asarray(apply_protocol(prob, result.settings['protocol']))
        where = ''
        if prob.ndim == 3:
            # The slice of the largest summed error.
            error = np.where(label <= 1, np.abs(prob - label), 0)
            worst = error.reshape(len(error), -1).sum(1).argmax()
            place = slices.setdefault(stem, int(worst))
            where = f'slice {place + 1} of {len(prob)}, '
            prob = prob[place]
            label = label[place]
        yield make_picture(stem, prob, label.astype(np.uint8), photos.get(stem), where)
