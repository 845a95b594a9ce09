"""What a report is made of: folders of maps, a test, files of results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..evaluation.map_folders import read_images
from ..evaluation.result import Result, Tested
from ..evaluation.result_files import load_results, sha256_of
from ..files.images import IMAGE_SUFFIXES
from ..files.map_pairs import list_files
from ..files.prob_maps import MapReader
from .pictures import chosen, make_picture, ranked

# Images to show per set and reason, unless another number is asked for.
PICTURES = 6


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
    worst = [ranked(result.images) for result in results]
    reasons = chosen(worst, pictures).values()
    stems = list(dict.fromkeys(stem for names in reasons for stem in names))
    photos = {}
    if images:
        photos = list_files(Path(images), IMAGE_SUFFIXES, 'photograph', [])
    if images and stems and photos.keys().isdisjoint(stems):
        raise ValueError(f'--images {images}: there is none of {stems[0]}')
    found = []
    for result in results:
        maps, masks, protocol = (
            result.settings[key] for key in ('pred_dir', 'gt_dir', 'protocol')
        )
        read = read_images(maps, masks, stems, protocol, reader)
        shown = [
            make_picture(stem, **read[stem], image=photos.get(stem)) for stem in stems
        ]
        found.append(replace(result, pictures=shown))

    return found


def results_of_test(
    tested: Mapping[str, Tested],
    model: str,
    *,
    files: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Result]:
    """Add names, measures, pictures and checksums to the results of a test."""
    used = [
        {'role': role, 'name': Path(path).name, 'sha256': sha256_of(path)}
        for role, path in (files or {}).items()
        if path and Path(path).is_file()
    ]
    given = {key: str(value) for key, value in (settings or {}).items() if value}
    found = []
    for name, section in tested.items():
        if section.result is None:
            continue
        shown = {item['name']: item for own in section.shown.values() for item in own}
        common = {
            'dataset': name,
            'no_foreground': section.no_foreground,
            'files': used,
        }
        figures = section.result.metrics
        found.append(
            replace(
                section.result,
                model=model,
                measures={k: v for k, v in section.metrics.items() if k not in figures},
                settings={**section.result.settings, **given},
                pictures=[
                    make_picture(image, item['prob'], item['label'], image)
                    for image, item in shown.items()
                ],
                **common,
            )
        )
        if section.calibrated_result is not None:
            calibrated = section.calibrated_result
            calibrated = replace(
                calibrated,
                model=f'{model}, calibrated',
                measures={
                    key: value
                    for key, value in section.calibrated.items()
                    if key not in calibrated.metrics
                },
                settings={**calibrated.settings, **given},
                **common,
            )
            found.append(calibrated)

    return found


def results_of_files(
    files: Sequence[str | Path], names: Sequence[str] | None = None
) -> list[Result]:
    """Read results that were written at different times."""
    if names is not None and len(names) != len(files):
        raise ValueError(
            f'--name: {len(names)} names for {len(files)} files; give one per file'
        )

    found = []
    for number, path in enumerate(files):
        results = load_results(path)
        models = list(dict.fromkeys(result.model for result in results))
        if names is not None and len(models) > 1:
            raise ValueError(
                f'{path}: holds {len(models)} models ({", ".join(models)}), one name '
                'does not fit them: leave out --name'
            )
        for result in results:
            model = result.model if names is None else names[number]
            found.append(replace(result, model=model))

    return found
