import hashlib

from mmaslp.common.inputs import sha256_of


def test_the_checksum_is_that_of_sha256sum(tmp_path):
    (tmp_path / 'a').write_bytes(b'aaa')
    assert sha256_of(tmp_path / 'a') == hashlib.sha256(b'aaa').hexdigest()
