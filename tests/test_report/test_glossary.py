import pytest

from mmaslp.files.sod_measures import SOD_COLUMNS
from mmaslp.report.glossary import term
from mmaslp.report.text_table import CALIBRATION_KEYS


@pytest.mark.parametrize(
    'key', [*CALIBRATION_KEYS, *SOD_COLUMNS, 'mIoU %', 'aAcc %', 'mAcc %']
)
def test_every_column_of_a_table_is_explained(key):
    found = term(key)
    assert found.sentence.endswith('.') and 'docs/' not in found.sentence
    assert bool(found.arrow) == (key != 'conf')


def test_a_figure_that_is_not_known_keeps_its_name():
    unknown = term('new')
    assert (unknown.label, unknown.arrow) == ('new', '')
