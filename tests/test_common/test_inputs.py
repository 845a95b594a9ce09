import hashlib
import tracemalloc

from mmaslp.common.inputs import sha256_of, stamp_of


def test_a_checksum_takes_little_memory(tmp_path):
    content = bytes(range(256)) * 2**17  # 32 MiB
    (tmp_path / 'x').write_bytes(content)
    tracemalloc.start()
    checksum = sha256_of(tmp_path / 'x')
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert checksum == hashlib.sha256(content).hexdigest()
    assert most < 2**23


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / 'x'
    assert stamp_of(path) is None
    path.write_text('one')
    first = stamp_of(path)
    assert stamp_of(path) == first
    path.write_text('three')
    assert stamp_of(path) != first
