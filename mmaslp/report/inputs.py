"""What a report is made of: folders of maps, a test, files of results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.measure import ImageTable
from ..files.checksum import sha256_of, sha256_of_files
from ..files.map_evaluation import read_images
from ..files.map_folder import MASK_SUFFIXES, list_files
from ..files.map_scale import MapReader
from ..files.prob_maps import MAP_SUFFIXES
from ..files.results import image_table, load_results
from .pictures import chosen, make_picture
from .shown_images import REASONS, sample_rank

__all__ = ['PICTURES', 'results_of_files', 'results_of_maps', 'results_of_test']

# Images to show per set and reason, unless another number is asked for.
PICTURES = 6


def results_of_maps(
    results: Sequence[Mapping[str, Any]],
    *,
    images: str | None = None,
    result_file: str | None = None,
    pictures: int = PICTURES,
    reader: MapReader | None = None,
) -> list[dict[str, Any]]:
    """Add pictures and checksums to results of folders against the same masks.

    The maps of the images that are shown, so many per reason, are read again.
    """
    tables = [image_table(result) for result in results]
    ranked = {number: _ranked(table) for number, table in enumerate(tables)}
    reasons = chosen(ranked, pictures) if pictures else {}
    stems = list(dict.fromkeys(stem for names in reasons.values() for stem in names))
    photos = {path.stem: path for path in Path(images).iterdir()} if images else {}
    found = []
    for number, (result, table) in enumerate(zip(results, tables)):
        given = result['settings']
        read = {}
        if stems:
            where = (given['pred_dir'], given['gt_dir'])
            read = read_images(*where, stems, given['protocol'], reader)
        metrics = table.per_image()
        shown = []
        for stem in stems:
            row = table.names.index(stem)
            own = {key: float(values[row]) for key, values in metrics.items()}
            item = {'name': stem, 'metrics': own, **read[stem]}
            why = [
                each
                for each in REASONS
                if stem in ranked[number][each][:pictures] and stem in reasons[each]
            ]
            shown.append(make_picture(item, photos.get(stem), why))
        files = [
            *_folder('maps', given['pred_dir'], MAP_SUFFIXES),
            *_folder('masks', given['gt_dir'], MASK_SUFFIXES),
            *_file('result', result_file),
        ]
        found.append({**result, 'pictures': shown, 'files': files})
    return found


def results_of_test(
    tested: Mapping[str, Mapping[str, Any]],
    model: str,
    *,
    files: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Add names, measures, pictures and checksums to the results of a test."""
    common = [
        each for role, path in (files or {}).items() for each in _file(role, path)
    ]
    given = {key: str(value) for key, value in (settings or {}).items() if value}
    found = []
    for name, section in tested.items():
        if 'result' not in section:
            continue
        result = section['result']
        written = sorted(Path(section['folder']).glob('calibration*_test.json'))
        found.append(
            {
                **result,
                'model': model,
                'dataset': name,
                'ood': section['ood'],
                'measures': {
                    key: value
                    for key, value in section['metrics'].items()
                    if key not in result
                },
                'settings': {**result['settings'], **given},
                'pictures': _pictures(section.get('shown', {})),
                'files': [
                    *common,
                    *(e for path in written for e in _file('result', path)),
                ],
            }
        )
    return found


def results_of_files(
    files: Sequence[str | Path], names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Read results that were written at different times."""
    if names is not None and len(names) != len(files):
        raise ValueError(
            f'--name: {len(names)} names for {len(files)} files; give one per file'
        )
    found = []
    for number, path in enumerate(files):
        results = load_results(path)
        models = list(dict.fromkeys(result['model'] for result in results))
        if names is not None and len(models) > 1:
            raise ValueError(
                f'{path}: holds {len(models)} models ({", ".join(models)}), one name '
                'does not fit them: leave out --name'
            )
        for result in results:
            model = result['model'] if names is None else names[number]
            own = result.get('files') or _file('result', path)
            found.append({**result, 'model': model, 'files': own})
    return found


def _ranked(images: ImageTable) -> dict[str, list[str]]:
    """By reason, names of the images, the worst first; as `ShownImages` ranks them."""
    metrics = images.per_image()
    defined = ~np.isnan(metrics['oe'])
    metrics['sample'] = np.where(defined, [*map(sample_rank, images.names)], np.nan)
    ranked = {}
    for why, key in REASONS.items():
        rows = np.flatnonzero(metrics[key] > 0)
        order = sorted(rows, key=lambda r: (-metrics[key][r], images.names[r]))
        ranked[why] = [images.names[row] for row in order]
    return ranked


def _pictures(shown: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Pictures of what a metric kept, each image once; its name is its file."""
    items = {item['name']: item for own in shown.values() for item in own}
    return [
        make_picture(
            item,
            name,
            [why for why, own in shown.items() if name in {i['name'] for i in own}],
        )
        for name, item in items.items()
    ]


def _file(role: str, path: str | Path | None) -> list[dict[str, str]]:
    """Note a file, if it is one."""
    file = Path(path or '').expanduser()
    if not file.is_file():
        return []
    return [{'role': role, 'name': file.name, 'sha256': sha256_of(file)}]


def _folder(role: str, path: str, suffixes: Sequence[str]) -> list[dict[str, str]]:
    """Note the files of a folder."""
    files = list_files(Path(path), suffixes, role, []).values()
    name = f'{Path(path).resolve().name} ({len(files)} files)'
    return [{'role': role, 'name': name, 'sha256': sha256_of_files(files)}]
