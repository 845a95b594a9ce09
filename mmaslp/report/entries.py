"""What a report is made of: folders of maps, a test, files of results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.measure import ImageTable
from ..files.checksum import sha256_of, sha256_of_files
from ..files.json_file import read_json
from ..files.map_evaluation import read_images
from ..files.map_folder import MASK_SUFFIXES, list_files
from ..files.prob_maps import MAP_SUFFIXES
from ..files.result_checks import check_figures, check_settings
from ..files.results import BROKEN, MAX_BYTES
from ..files.sod_measures import SOD_COLUMNS
from . import Entry, Picture, Report, SourceFile
from .document import (
    is_report,
    plain_result,
    without_fine_bins,
)
from .pictures import chosen, make_picture
from .shown_images import REASONS, sample_rank
from .writing import PICTURES

__all__ = ['file_entries', 'map_entries', 'test_entries']


def map_entries(
    sections: Mapping[str, Mapping[str, Any]],
    *,
    images: str | None = None,
    result_file: str | None = None,
    pictures: int = PICTURES,
) -> list[Entry]:
    """Make entries of folders of maps that were measured against the same masks.

    Args:
        sections (Mapping[str, Mapping]): What
            ``evaluate_folders`` returned. The maps of the images
            that are shown are read again.
        images (str, optional): Folder of the photographs. Defaults to None.
        result_file (str, optional): Where the results were written to. Defaults to
            None.
        pictures (int): See :func:`~mmaslp.report.writing.write_report`. Defaults to 6.
    """
    tables = {name: _images(section) for name, section in sections.items()}
    ranked = {name: _ranked(table) for name, table in tables.items()}
    reasons = chosen(ranked, pictures) if pictures else {}
    stems = list(dict.fromkeys(stem for names in reasons.values() for stem in names))
    photos = {path.stem: path for path in Path(images).iterdir()} if images else {}
    written = _file('result', result_file) if result_file else ()
    entries = []
    for name, section in sections.items():
        settings = section['result']['settings']
        found = _read_maps(settings, stems)
        metrics = tables[name].per_image()
        rows = {stem: row for row, stem in enumerate(tables[name].names)}
        shown = []
        for stem in stems:
            own = {key: float(values[rows[stem]]) for key, values in metrics.items()}
            item = {'name': stem, 'metrics': own, **found[stem]}
            why = [each for each in REASONS if stem in ranked[name][each][:pictures]]
            why = [each for each in why if stem in reasons[each]]
            shown.append(make_picture(item, photos.get(stem), why))
        files = (
            *_folder('maps', settings['pred_dir'], MAP_SUFFIXES),
            *_folder('masks', settings['gt_dir'], MASK_SUFFIXES),
            *written,
        )
        dataset = Path(settings['gt_dir']).resolve().name
        entries.append(_entry(name, dataset, _plain(section), shown, files))
    return entries


def test_entries(
    results: Mapping[str, Mapping[str, Any]],
    model: str,
    *,
    files: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Entry]:
    """Make entries of the sets that one model was tested on.

    Args:
        results (Mapping[str, Mapping]): What ``evaluate``
            returned; sets whose calibration was not measured are left out.
        model (str): Name of the model.
        files (Mapping[str, str], optional): From the role ('checkpoint', 'config') to a
            file, whose checksum is noted. Defaults to None.
        settings (Mapping[str, Any], optional): Shown once. Defaults to None.
    """
    given = {k: str(v) for k, v in (settings or {}).items() if v is not None}
    common = [
        each for role, path in (files or {}).items() for each in _file(role, path)
    ]
    entries = []
    for name, section in results.items():
        if 'result' not in section:
            continue
        measures = {
            key: value
            for key, value in section['metrics'].items()
            if key not in section['result']
        }
        written = sorted(Path(section['folder']).glob('calibration*_test.json'))
        entry = _entry(
            model,
            name,
            _plain({**section, 'metrics': measures}),
            _pictures(section.get('shown', {})),
            (*common, *(each for path in written for each in _file('result', path))),
        )
        entries.append(replace(entry, settings=given))
    return entries


test_entries.__test__ = False  # tells pytest that this is not a test case


def file_entries(
    files: Sequence[str | Path], names: Sequence[str] | None = None
) -> list[Entry]:
    """Read entries from files that were written at different times.

    Args:
        files (Sequence[str | Path]): Results of ``CalibrationMetric``, of ``mmaslp
            eval-maps --json`` or of a report (``x.report.json``), which has pictures.
        names (Sequence[str], optional): Names of the models, one per file. Defaults to
            None: those of a report, or the names of files and their folders.

    Raises:
        ValueError: A file is none of these, or there is another number of names.
    """
    if names is not None and len(names) != len(files):
        raise ValueError(
            f'--name: {len(names)} names for {len(files)} files; give one per file'
        )
    entries = []
    for number, path in enumerate(files):
        try:
            found = _read(Path(path))
        except OSError as error:
            raise ValueError(f'{path}: cannot be read ({error.strerror})') from error
        except BROKEN as e:
            raise ValueError(
                f'{path}: is no result file of mmaslp ({type(e).__name__}: {e}); make '
                'one with `mmaslp test` or `mmaslp eval-maps --json`'
            ) from e
        if names is not None:
            models = list(dict.fromkeys(entry.model for entry in found))
            if len(models) > 1:
                raise ValueError(
                    f'{path}: holds {len(models)} models ({", ".join(models)}), one '
                    'name does not fit them: leave out --name'
                )
            found = [entry.named(names[number], entry.dataset) for entry in found]
        entries += found
    return entries


def _read_maps(
    settings: Mapping[str, Any], stems: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    if not stems:
        return {}
    given = (settings[key] for key in ('pred_dir', 'gt_dir'))
    return read_images(*given, stems, settings['protocol'], settings['max_value'])


def _read(path: Path) -> list[Entry]:
    content = read_json(path, MAX_BYTES)
    if is_report(content):
        entries = list(Report.from_json(content).entries)
    else:
        entries = _result_entries(path, content)
    for entry in entries:
        check_settings(entry.result['settings'])
        check_figures(entry.result, entry.images)
    return entries


def _result_entries(path: Path, content: Any) -> list[Entry]:
    """Make entries of one result, or of several by name."""
    if not isinstance(content, dict) or not content:
        raise TypeError('it holds no dictionary')
    written = _file('result', path)
    if 'images' in content:
        model, dataset = _place(path.absolute(), content)
        results = {model: content}
    else:
        results, dataset = content, ''
    entries = []
    for model, result in results.items():
        known = dataset or _place(path.absolute(), result)[1]
        measures = {key: result[key] for key in SOD_COLUMNS if key in result}
        section = {'result': without_fine_bins(result), 'metrics': measures}
        entries.append(_entry(model, known, section, (), written))
    return entries


def _place(path: Path, result: Mapping[str, Any]) -> tuple[str, str]:
    """Name model and set by ``{run}/eval/{set}/calibration_test.json``, or the file."""
    settings = result['settings']
    given = settings.get('gt_dir') or settings.get('dataset') or 'test'
    dataset = Path(str(given)).name
    if not path.stem.startswith('calibration_'):
        return path.stem, dataset
    folder = path.parent
    if folder.parent.name.startswith('eval'):
        return folder.parent.parent.name, folder.name
    return folder.name, dataset


def _entry(
    model: str,
    dataset: str,
    section: Mapping[str, Any],
    pictures: Sequence[Picture],
    files: Sequence[SourceFile],
) -> Entry:
    """Make an entry; the result is one that JSON can hold."""
    return Entry(
        model,
        dataset,
        section['result'],
        {
            key: None if value is None or value != value else float(value)
            for key, value in section.get('metrics', {}).items()
        },
        bool(section.get('ood', False)),
        tuple(pictures),
        tuple(files),
    )


def _plain(section: Mapping[str, Any]) -> dict[str, Any]:
    return {**section, 'result': plain_result(section['result'])}


def _images(section: Mapping[str, Any]) -> ImageTable:
    result = section['result']
    return ImageTable.from_json(result['images'], result['settings']['bins'])


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


def _pictures(shown: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Picture]:
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


def _file(role: str, path: str | Path) -> tuple[SourceFile, ...]:
    """Note a file, if it is one."""
    path = Path(path).expanduser()
    if not path.is_file():
        return ()
    return (SourceFile(role, path.name, sha256_of(path)),)


def _folder(role: str, path: str, suffixes: Sequence[str]) -> tuple[SourceFile, ...]:
    """Note the files of a folder."""
    files = list_files(Path(path), suffixes, role, []).values()
    name = f'{Path(path).resolve().name} ({len(files)} files)'
    return (SourceFile(role, name, sha256_of_files(files)),)
