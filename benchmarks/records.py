"""The raw results of many runs: a file for each, and one for all of a table."""

import json

from jobs import RESULTS, differences, read_json, run_folder

from mmaslp.utils.atomic_write import atomic_write


def restore_records(path, out, setting):
    """Put the runs of a results file where they would lie, so that none is repeated.

    Args:
        path (Path, optional): What :func:`save_records` wrote, if it is there.
        out (Path): Folder of all runs.
        setting (Setting): That of the table.

    Raises:
        ValueError: If the file is none of these, or a run of it, or one that lies in
            the folder, is of another setting.
    """
    records = []
    if path is not None and path.exists():
        if path.is_dir():
            raise ValueError(f'--json {path} is a folder: name a file')
        records = read_json(path)
        if not isinstance(records, list) or not all(
            isinstance(r, dict) and 'setting' in r for r in records
        ):
            raise ValueError(f'{path} is no file of this benchmark: name another')
    own = setting.describe()
    for place, record in [
        *((path, record) for record in records),
        *((file.parent, read_json(file)) for file in _files(out)),
    ]:
        other = differences(record['setting'], own)
        if other:
            raise ValueError(
                f'{place} holds a run of another table ({other}): give another --out, '
                'and another --json'
            )
    for record in records:
        folder = run_folder(out, record['data'], record['method'], record['seed'])
        if not (folder / RESULTS).is_file():
            atomic_write(folder / RESULTS, json.dumps(record) + '\n')


def load_records(out, methods):
    """All results below a folder, by data, method (in this order) and seed.

    Raises:
        ValueError: If there is a method that is not among these.
    """
    records = [read_json(file) for file in _files(out)]
    order = list(methods)
    unknown = sorted({r['method'] for r in records} - {*order})
    if unknown:
        raise ValueError(
            f'{out} holds runs of {", ".join(unknown)}, which this script does not '
            'know: give another --out, and another --json'
        )
    return sorted(
        records, key=lambda r: (r['data'], order.index(r['method']), r['seed'])
    )


def save_records(path, records):
    """Write the raw results of many runs, one line each."""
    lines = ',\n'.join(json.dumps(record) for record in records)
    atomic_write(path, f'[\n{lines}\n]\n')


def _files(out):
    return sorted(out.glob(f'*/*/seed*/{RESULTS}'))
