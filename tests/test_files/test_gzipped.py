"""Both libraries write what both can read, and refuse what is damaged."""

import gzip
import zlib

import pytest

from mmaslp.files import gzipped

DATA = bytes(range(256)) * 1000


@pytest.fixture(params=['isal', 'standard'])
def library(request, monkeypatch):
    if request.param == 'isal':
        pytest.importorskip('isal')
    else:
        monkeypatch.setattr(gzipped, '_igzip', None)


def test_bytes_come_back_and_are_the_same_each_time(library, tmp_path):
    packed = gzipped.compressed(DATA)
    assert packed == gzipped.compressed(DATA)
    assert gzip.decompress(packed) == DATA
    (tmp_path / 'x.gz').write_bytes(gzip.compress(DATA))
    with gzipped.open_gzip(tmp_path / 'x.gz') as file:
        assert file.read(len(DATA) + 1) == DATA


@pytest.mark.parametrize('damage', ['cut', 'checksum', 'garbage'])
def test_a_damaged_file_is_refused(library, damage, tmp_path):
    packed = gzipped.compressed(DATA)
    content = {
        'cut': packed[:-20],
        'checksum': packed[:-8] + b'\0\0\0\0' + packed[-4:],
        'garbage': packed + b'more',
    }
    (tmp_path / 'x.gz').write_bytes(content[damage])
    with (
        pytest.raises((OSError, EOFError, zlib.error)),
        gzipped.open_gzip(tmp_path / 'x.gz') as file,
    ):
        file.read(2 * len(DATA))
