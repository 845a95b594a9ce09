import hashlib
import json

import pytest

from mmaslp.utils.temperature_file import (
    fingerprint,
    read_temperature,
    temperature_path,
    write_temperature,
)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'weights' * 1000)
    return str(path)


def record(checkpoint, **more):
    digest = fingerprint(checkpoint)
    return {'temperature': 1.7, 'checkpoint_sha256': digest, **more}


def test_a_temperature_goes_around_its_file(checkpoint, tmp_path):
    write_temperature(temperature_path(checkpoint), record(checkpoint))
    assert read_temperature(checkpoint) == 1.7
    elsewhere = str(tmp_path / 'new' / 't.json')  # the folder is made
    write_temperature(elsewhere, record(checkpoint, temperature=2))
    assert read_temperature(checkpoint, elsewhere) == 2.0


def test_a_file_of_an_earlier_version_is_read(checkpoint):
    old = record(checkpoint, temperature_interval=[1.6, None])
    write_temperature(temperature_path(checkpoint), old)
    assert read_temperature(checkpoint) == 1.7


def test_fingerprint_is_sha256(checkpoint):
    assert fingerprint(checkpoint) == hashlib.sha256(b'weights' * 1000).hexdigest()
    for missing in (None, checkpoint + 'x'):
        with pytest.raises(ValueError, match='local file'):
            fingerprint(missing)


def test_files_that_do_not_fit(checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'tools/fit_temperature\.py'):
        read_temperature(checkpoint)
    path = tmp_path / 't.json'
    for content in ('{', '[1]', '{}', json.dumps(record(checkpoint, temperature=0))):
        path.write_text(content)
        with pytest.raises(ValueError, match='is no temperature file'):
            read_temperature(checkpoint, str(path))
    path.write_text(json.dumps(record(checkpoint, checkpoint_sha256='0' * 64)))
    with pytest.raises(ValueError, match='whose weights are not'):
        read_temperature(checkpoint, str(path))
