import pytest

from mmaslp.files.image_names import rows_by_name


def test_stems_where_they_differ_else_paths():
    assert rows_by_name(['x/a.jpg', 'b']) == {'a': 0, 'b': 1}
    assert rows_by_name(['x/a.jpg', 'y/a.jpg']) == {'x/a.jpg': 0, 'y/a.jpg': 1}
    with pytest.raises(ValueError, match='more than once'):
        rows_by_name(['a.jpg', 'b.jpg', 'a.jpg'])
