import hashlib
import json

import pytest

from mmaslp.core.measure import BorderTemperatures
from mmaslp.files.temperature_file import (
    fingerprint,
    load_temperature,
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
    with pytest.raises(FileNotFoundError, match='mmaslp fit-temperature'):
        read_temperature(checkpoint)
    path = tmp_path / 't.json'
    for content in ('{', '[1]', '{}', json.dumps(record(checkpoint, temperature=0))):
        path.write_text(content)
        with pytest.raises(ValueError, match='is no temperature file'):
            read_temperature(checkpoint, str(path))
    path.write_text(json.dumps(record(checkpoint, checkpoint_sha256='0' * 64)))
    with pytest.raises(ValueError, match='whose weights are not'):
        read_temperature(checkpoint, str(path))


def test_temperatures_by_region_go_around_beside_the_single_one(checkpoint, tmp_path):
    by_region = BorderTemperatures((3, 2, 1.5), edges=(2, 4))
    found = {**by_region.record(), 'pixels': [1, 2, 3]}
    path = temperature_path(checkpoint)
    write_temperature(path, record(checkpoint, regions=found))
    assert read_temperature(checkpoint) == by_region
    assert read_temperature(checkpoint, regions=False) == 1.7
    temperature, content = load_temperature(path)
    assert temperature == by_region and content['regions'] == found


def test_damaged_regions(checkpoint):
    path = temperature_path(checkpoint)
    good = BorderTemperatures((3, 2, 1.5), edges=(2, 4)).record()
    for damaged in (
        None,
        [1.0, 2.0],
        {},
        {**good, 'temperatures': [3, 2]},
        {**good, 'temperatures': [3, -2, 1]},
        {**good, 'edges': [4, 2]},
        {**good, 'kind': 'size'},
        {**good, 'unit': 'mm'},
    ):
        write_temperature(path, record(checkpoint, regions=damaged))
        for regions in (True, False):
            with pytest.raises(ValueError, match='is no temperature file'):
                read_temperature(checkpoint, regions=regions)


def test_a_file_of_maps_belongs_to_no_checkpoint(checkpoint, tmp_path):
    path = str(tmp_path / 't.json')
    write_temperature(path, dict(temperature=2.0, maps='val_maps'))
    assert load_temperature(path)[0] == 2.0
    with pytest.raises(ValueError, match='fitted to maps in val_maps'):
        read_temperature(checkpoint, path)
    with pytest.raises(FileNotFoundError, match='no temperature at'):
        load_temperature(path + 'x')
