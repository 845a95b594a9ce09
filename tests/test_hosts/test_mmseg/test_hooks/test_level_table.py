import csv

import numpy as np
import pytest

from mmaslp.hosts.mmseg.hooks.level_table import write_level_table


def test_lowest_level_first(tmp_path):
    path = tmp_path / 'new' / 'levels.csv'
    write_level_table(path, ['b, c', 'a', 'd'], np.array([0.25, 0.5, 0.25]))
    with open(path, newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['img_path', 'alpha'],
        ['b, c', '0.25000000'],
        ['d', '0.25000000'],
        ['a', '0.50000000'],
    ]


def test_a_failed_write_keeps_the_old_table(tmp_path):
    path = tmp_path / 'levels.csv'
    write_level_table(path, ['a'], np.zeros(1))
    with pytest.raises(IndexError):
        write_level_table(path, [], np.zeros(1))
    assert 'a,0.0' in path.read_text()
