import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from mmaslp.files.csv_tables import safe_cell, write_csv

ODD = st.sampled_from(
    ['=1+1', '+a', '-a', '@x', '-1', '\r=a', 'a;=b', 'a\u2028b', '\tx', "'"]
)
TEXTS = st.one_of(ODD, st.text(st.characters(codec='utf-8')))


@given(st.lists(st.tuples(TEXTS, st.floats(allow_nan=False)), min_size=1))
def test_any_name_is_one_cell_and_no_formula(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / 'x.csv'
    columns = ('name', 'number')
    lines = [dict(zip(columns, row)) for row in rows]
    write_csv(path, lines, columns, overwrite=True)
    text = path.read_bytes().decode()
    assert len(text.splitlines()) == len(rows) + 1  # by every rule that Python knows
    header, *read = csv.reader(io.StringIO(text))
    assert header == [*columns]
    for (name, number), cells in zip(rows, read):
        assert cells == [safe_cell(name), str(number)]
        for cell in cells[0].split(';'):  # as a spreadsheet may
            formula = cell.startswith(('=', '+', '-', '@'))
            assert not formula or float(cells[0]) == float(name)


def test_names_stay_as_they_are(tmp_path):
    names = ['a b', 'Fuß', 'a,b', 'a"b', "it's", 'lat\udcff']
    write_csv(tmp_path / 'x.csv', [{'name': name} for name in names], ('name',))
    with open(tmp_path / 'x.csv', errors='surrogateescape', newline='') as file:
        assert [row for [row] in csv.reader(file)] == ['name', *names]


def test_a_cell_that_a_row_lacks_stays_empty(tmp_path):
    rows = [dict(name='a'), dict(name='b', truth=0.5)]
    for order in (rows, rows[::-1]):
        write_csv(tmp_path / 'x.csv', order, ('name',), overwrite=True)
        with open(tmp_path / 'x.csv', newline='') as stream:
            read = {row['name']: row['truth'] for row in csv.DictReader(stream)}
        assert read == {'a': '', 'b': '0.5'}
