"""Run the tutorials: their code as it stands, in an empty folder, page by page.

    python docs/run_tutorials.py [--write] [NAME ...]

Python blocks share one namespace. Lines ``$ mmaslp ...`` of console blocks are run by
the script in ``tools`` that does the same. With ``--write`` the output of a block
replaces the text block that follows it, and the pictures of the page are renewed.
"""

import argparse
import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / 'docs' / 'tutorials'
BLOCK = re.compile(r'^```(python|console|text)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LOG = re.compile(
    r'.* - mmengine - .*\n', re.DOTALL
)  # what the host says before a result
PICTURE = re.compile(r'!\[[^]]*\]\((\S+)\)')
SCRIPTS = {
    'compare': 'compare_results',
    'prepare': 'prepare_dataset',
}


def run_command(line: str) -> str:
    """Run ``mmaslp COMMAND ...``; return what it prints.

    Raises:
        RuntimeError: If it fails, with all that it said.
    """
    command, *args = arguments(line)
    done = subprocess.run(
        [sys.executable, str(script(command)), *args],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )
    if done.returncode:
        raise RuntimeError(f'{line}\n{done.stdout}{done.stderr}')
    return done.stdout


def arguments(line: str) -> list[str]:
    """The words behind ``mmaslp``, with patterns of files replaced as a shell does."""
    _, *words = shlex.split(line)
    return [found for word in words for found in sorted(glob.glob(word)) or [word]]


def script(command: str) -> Path:
    """The script in ``tools`` that does the same as a command."""
    stem = SCRIPTS.get(command, command.replace('-', '_'))
    return ROOT / 'tools' / f'{stem}.py'


def run_page(
    text: str, command: Callable[[str], str] = run_command
) -> tuple[str, dict[str, Any]]:
    """Run the blocks of a page in the working folder.

    Args:
        text (str): The page.
        command (Callable[[str], str]): Runs one command line and returns its output.
            Defaults to :func:`run_command`.

    Returns:
        tuple[str, dict]: The page with the outputs of this run, and the names that its
        Python blocks have defined.
    """
    names: dict[str, Any] = {'__name__': '__main__'}
    said: list[str] = []

    def run(match: re.Match) -> str:
        kind, block = match.groups()
        if kind == 'text':
            return f'```text\n{said.pop()}```' if said else match[0]
        said.clear()
        printed = io.StringIO()
        if kind == 'python':
            with contextlib.redirect_stdout(printed):
                exec(compile(block, '<tutorial>', 'exec'), names)
        for line in re.findall(r'^\$ (mmaslp (?:.*\\\n)*.*)', block, re.MULTILINE):
            printed.write(command(line.replace('\\\n', ' ')))
        output = [
            line.rstrip() for line in LOG.sub('', printed.getvalue()).splitlines()
        ]
        if output:
            said.append('\n'.join(output).strip('\n') + '\n')
        return match[0]

    return BLOCK.sub(run, text), names


def shrink_picture(source: Path, target: Path) -> None:
    """Copy a picture at the size and with the number of colours that a page needs."""
    with Image.open(source) as picture:
        small = picture.convert('RGB')
        small.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
        small.quantize(128).save(target, optimize=True)


def main() -> None:
    """Run the tutorials named on the command line, by default all."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', 1)[0])
    parser.add_argument('name', nargs='*', help='pages, such as pytorch')
    parser.add_argument('--write', action='store_true', help='renew the pages')
    args = parser.parse_args()
    paths = [PAGES / f'{name}.md' for name in args.name] or sorted(PAGES.glob('*.md'))
    for path in paths:
        text = path.read_text(encoding='utf-8')
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            Path('configs').symlink_to(ROOT / 'configs')
            renewed, _ = run_page(text)
            print(renewed)
            if args.write:
                path.write_text(renewed, encoding='utf-8')
                for picture in PICTURE.findall(text):
                    target = path.parent / picture
                    target.parent.mkdir(parents=True, exist_ok=True)
                    (made,) = Path().rglob(target.name)
                    shrink_picture(made, target)


if __name__ == '__main__':
    main()
