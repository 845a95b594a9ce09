"""The raw results of many runs: a file for each, and one for all of a table."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from jobs import Job, Setting

from mmaslp.files.atomic_write import atomic_write

__all__ = ['Record', 'Records', 'read_json', 'write_rows']

# What training.py writes about a run. ``digest`` is :attr:`Job.digest`. Records of
# earlier versions have none; they name their config and data in other keys.
Record = dict[str, Any]


class Records:
    """The results of the runs of a table.

    Args:
        path (Path, optional): The file that :meth:`save` wrote, if it is there.
        setting (Setting): That of the table.
        methods (Collection[str]): Names of its methods, in their order.

    Attributes:
        found (list[Record]): By data, method and seed.

    Raises:
        ValueError: If the file is not such a file, or one of its runs has another
            setting or another method.
    """

    def __init__(
        self, path: Path | None, setting: Setting, methods: Collection[str]
    ) -> None:
        self.path = path
        self.order = list(methods)
        self.found: list[Record] = []
        if path is None or not path.exists():
            return
        if path.is_dir():
            raise ValueError(f'--json {path} is a folder: name a file')
        self.found = read_json(path)
        if not isinstance(self.found, list) or not all(
            isinstance(r, dict) and 'setting' in r for r in self.found
        ):
            raise ValueError(f'{path} is no file of this benchmark: name another')
        own = setting.describe()
        for record in self.found:
            other = record['setting']
            changed = [
                f'{key}: {other.get(key)}, now {value}'
                for key, value in own.items()
                if other.get(key) != value
            ]
            if changed:
                raise ValueError(
                    f'{path} holds a run of another table ({", ".join(changed)}): give '
                    'another --json'
                )
        unknown = sorted({r['method'] for r in self.found} - {*self.order})
        if unknown:
            raise ValueError(
                f'{path} holds runs of {", ".join(unknown)}, which this script does '
                'not know: give another --json'
            )

    def find(self, job: Job) -> Record | None:
        """The record of a run, from the file of the table or from its own.

        Raises:
            ValueError: If the file has a run of this name with another config, other
                data or another spec of the method.
        """
        for record in self.found:
            if _key(record) != (job.name, job.method, job.seed):
                continue
            # A table needs no data: without it, names are compared.
            folders = [Path(each) for each in (job.data, *job.ood) if each]
            digest = record.get('digest')
            here = digest is not None and all(folder.is_dir() for folder in folders)
            if here and digest != job.digest:
                raise ValueError(
                    f'{self.path} holds a run of {job.name}, {job.method}, seed '
                    f'{job.seed} with another config, other data or another spec of '
                    'the method: give another --json'
                )
            return record
        return read_json(job.results) if job.results.is_file() else None

    def add(self, jobs: Sequence[Job]) -> None:
        """Add the results of the runs that have ended."""
        known = {_key(record): record for record in self.found}
        for job in jobs:
            record = self.find(job)
            if record is not None:
                known[_key(record)] = record
        self.found = sorted(
            known.values(),
            key=lambda r: (r['data'], self.order.index(r['method']), r['seed']),
        )

    def save(self) -> None:
        """Write the results, one line each, if a file was given."""
        if self.path is not None:
            write_rows(self.path, self.found)


def read_json(path: Path) -> Any:
    """Read a JSON file of the benchmark.

    Raises:
        ValueError: If it is not one; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(
            f'{path} is damaged or no file of this benchmark ({error}): delete it, or '
            'name another'
        ) from error


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a JSON file of the benchmark, one line each."""
    lines = ',\n'.join(map(json.dumps, rows))
    atomic_write(path, f'[\n{lines}\n]\n')


def _key(record: Record) -> tuple[str, str, int]:
    return record['data'], record['method'], record['seed']
