import hashlib

from mmaslp.files.checksum import sha256_of, sha256_of_files


def test_checksums_are_those_of_sha256sum(tmp_path):
    for name in 'ba':
        (tmp_path / name).write_bytes(name.encode() * 3)
    one = sha256_of(tmp_path / 'a')
    assert one == hashlib.sha256(b'aaa').hexdigest()
    lines = f'{one}  a\n{sha256_of(tmp_path / "b")}  b\n'
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert sha256_of_files(list(tmp_path.iterdir())) == expected
    (tmp_path / 'a').write_bytes(b'')
    assert sha256_of_files(list(tmp_path.iterdir())) != expected
