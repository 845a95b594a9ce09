"""Tables as CSV, which a spreadsheet shows as they are."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..common.outputs import write_output

# What some program takes for the end of a line or of a cell.
_ENDS = re.compile('[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]')
_NUMBER = re.compile(r'[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?')
# Where the cell of a table begins; in half of Europe a semicolon ends one.
_FORMULA = re.compile('(^|;)(?=[=+@-])')


def write_csv(
    path: str | Path,
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    overwrite: bool = False,
) -> None:
    r"""Write texts and numbers by column; rows may have more than ``columns``.

    A cell that a row lacks stays empty.

    A text that a spreadsheet would compute gets an apostrophe in front, and ends of
    lines are written as ``\n``. Names of files that are not UTF-8 keep their bytes.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator='\n')
    names = [*dict.fromkeys(name for row in rows for name in row)] or columns
    writer.writerow(names)
    writer.writerows([safe_cell(row.get(key, '')) for key in names] for row in rows)
    # Python passes bytes that are not UTF-8 on as surrogates.
    write_output(path, buffer.getvalue().encode(errors='surrogateescape'), overwrite)


def safe_cell(cell: object) -> str:
    """Write a cell so that it is one, and no formula."""
    text = _ENDS.sub(lambda end: ascii(end[0])[1:-1], str(cell))
    if not isinstance(cell, str) or _NUMBER.fullmatch(text):
        return text
    return _FORMULA.sub(r"\1'", text)
