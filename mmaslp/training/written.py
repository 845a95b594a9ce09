"""Which files of a folder a training wrote, and nobody has changed since."""

import json
from pathlib import Path
from typing import Any

from ..common.inputs import MOST_TEXT, check_file, sha256_of
from ..common.outputs import write_output

# The checksums of the files that trainings wrote, by their names.
NOTES = '.mmaslp_written.json'


def note_written(path: str | Path) -> None:
    """Note that a training wrote a file, as it is now.

    The training that goes on there may replace it as long as nobody changes it.
    """
    path = Path(path)
    notes = {**_notes(path.parent), path.name: sha256_of(path)}
    text = json.dumps(notes, indent=1, sort_keys=True) + '\n'
    write_output(path.parent / NOTES, text, overwrite=True)


def written_by_training(path: str | Path) -> bool:
    """Whether a file is as the last training that wrote it left it."""
    path = Path(path)
    noted = _notes(path.parent).get(path.name)
    return noted is not None and path.is_file() and sha256_of(path) == noted


def _notes(folder: Path) -> dict[str, Any]:
    file = folder / NOTES
    check_file(file, MOST_TEXT)
    try:
        notes = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}  # there is none, or it says nothing
    return notes if isinstance(notes, dict) else {}
