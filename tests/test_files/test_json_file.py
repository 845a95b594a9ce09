import os

import pytest

from mmaslp.files.json_file import read_json


def test_json(tmp_path):
    path = tmp_path / 'x.json'
    path.write_text('{"a": [1, null]}')
    assert read_json(path, 16) == {'a': [1, None]}
    for text, message in (
        ('{"a": [1, null ]}', 'larger than 16 bytes'),
        ('{', 'Expecting'),
        ('\udcff', "can't decode"),
    ):
        path.write_bytes(text.encode(errors='surrogateescape'))
        with pytest.raises(ValueError, match=message):
            read_json(path, 16)
    path.write_text('[' * 10**5)
    with pytest.raises(ValueError, match='nested too deeply'):
        read_json(path, 10**6)


def test_a_pipe(tmp_path):
    read, write = os.pipe()
    os.write(write, b'[1, 2, 3]')
    os.close(write)
    with pytest.raises(ValueError, match='larger than 4 bytes'):
        read_json(f'/dev/fd/{read}', 4)
    os.close(read)
