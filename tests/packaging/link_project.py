"""Link the metadata to the repository that builds it: ``link_project.py ROOT URL``.

No file names a repository, since forks and mirrors build the package too. The release
knows its own, and calls this before it builds: homepage, source, documentation, issues
and changelog go into ``pyproject.toml``, and the source into ``CITATION.cff``.
"""

import sys
from pathlib import Path


def link(root: Path, url: str) -> None:
    """Write the links of a repository into the files of a checkout."""
    links = dict(
        Homepage=url,
        Source=url,
        Documentation=f'{url}/blob/main/docs/index.md',
        Issues=f'{url}/issues',
        Changelog=f'{url}/blob/main/CHANGELOG.md',
    )
    lines = [f'{name} = "{target}"\n' for name, target in links.items()]
    insert(root / 'pyproject.toml', '[project.urls]\n', ''.join(lines))
    insert(root / 'CITATION.cff', 'type: software\n', f'repository-code: {url}\n')


def insert(file: Path, after: str, lines: str) -> None:
    """Put lines after one that stands once in a file; ValueError if it does not."""
    text = file.read_text(encoding='utf-8')
    if text.count(after) != 1 or after + lines in text:
        raise ValueError(
            f'{file} has no line of its own {after!r}, or is linked already'
        )
    file.write_text(text.replace(after, after + lines), encoding='utf-8')


if __name__ == '__main__':
    link(Path(sys.argv[1]), sys.argv[2])
