import io
import tarfile
import zipfile

import pytest

from mmaslp.files import archives
from mmaslp.files.archives import extract, is_archive


def make_zip(path, members):
    with zipfile.ZipFile(path, 'w') as file:
        for name, content in members.items():
            file.writestr(name, content)
    return str(path)


def make_tar(path, members):
    with tarfile.open(path, 'w:gz') as file:
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return str(path)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())


def test_zip(tmp_path):
    archive = make_zip(
        tmp_path / 'a.zip', {'x/1.txt': b'one', '__MACOSX/x/._1': b'', '.hidden': b''}
    )
    extract(archive, str(tmp_path / 'out'))
    assert files(tmp_path / 'out') == ['x/1.txt']
    assert (tmp_path / 'out/x/1.txt').read_bytes() == b'one'


def test_tar(tmp_path):
    archive = make_tar(tmp_path / 'a.tar.gz', [(tarfile.TarInfo('./x/1.txt'), b'one')])
    extract(archive, str(tmp_path / 'out'))
    assert (tmp_path / 'out/x/1.txt').read_bytes() == b'one'


def test_archive_in_archive(tmp_path):
    make_zip(tmp_path / 'inner.zip', {'gt/1.png': b'x'})
    content = (tmp_path / 'inner.zip').read_bytes()
    extract(make_zip(tmp_path / 'a.zip', {'in.zip': content}), str(tmp_path / 'out'))
    assert files(tmp_path / 'out') == ['gt/1.png']


def test_names_with_backslashes_are_paths(tmp_path):
    archive = make_zip(tmp_path / 'a.zip', {'x\\1.txt': b'one'})
    extract(archive, str(tmp_path / 'out'))
    assert files(tmp_path / 'out') == ['x/1.txt']


@pytest.mark.parametrize('kind', ['zip', 'tar'])
@pytest.mark.parametrize('nested', [False, True])
def test_bombs_are_refused(tmp_path, monkeypatch, kind, nested):
    monkeypatch.setattr(archives, 'MAX_SMALL', 1000)
    content = bytes(10**6)
    name = f'bomb.{kind}'
    with zipfile.ZipFile(tmp_path / name, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('zeros.bin', content)
    if kind == 'tar':
        make_tar(tmp_path / name, [(tarfile.TarInfo('zeros.bin'), content)])
    archive = tmp_path / name
    if nested:
        inner = archive.read_bytes()
        archive = tmp_path / 'outer.zip'
        make_zip(archive, {name: inner})
    with pytest.raises(ValueError, match=rf'{name}: unpacks to more than 200 times'):
        extract(str(archive), str(tmp_path / 'out'))
    assert not any(path.name == 'zeros.bin' for path in (tmp_path).rglob('*'))


def test_archives_in_archives_end(tmp_path):
    content = b'x'
    for _ in range(6):
        make_zip(tmp_path / 'in.zip', {'in.zip': content})
        content = (tmp_path / 'in.zip').read_bytes()
    with pytest.raises(ValueError, match='more than 3 deep'):
        extract(str(tmp_path / 'in.zip'), str(tmp_path / 'out'))


def test_a_python_without_safe_extraction(tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, 'data_filter')
    archive = make_tar(tmp_path / 'a.tar', [(tarfile.TarInfo('1.txt'), b'one')])
    with pytest.raises(ValueError, match=r'cannot unpack tar files safely: use 3\.10'):
        extract(archive, str(tmp_path / 'out'))


@pytest.mark.parametrize('name', ['../evil', '/tmp/evil', 'x/../../evil', 'C:/evil'])
def test_members_outside_are_refused(tmp_path, name):
    archives = [
        make_zip(tmp_path / 'a.zip', {name: b'x'}),
        make_tar(tmp_path / 'a.tar.gz', [(tarfile.TarInfo(name), b'x')]),
    ]
    for archive in archives:
        with pytest.raises(ValueError, match='evil lies outside'):
            extract(archive, str(tmp_path / 'out'))
    assert files(tmp_path) == ['a.tar.gz', 'a.zip']


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(tmp_path, kind):
    link = tarfile.TarInfo('images')
    link.type, link.linkname = kind, '/etc'
    with pytest.raises(ValueError, match='images is a link'):
        extract(make_tar(tmp_path / 'a.tar', [(link, b'')]), str(tmp_path / 'out'))
    entry = zipfile.ZipInfo('images')
    entry.external_attr = 0o120777 << 16
    with pytest.raises(ValueError, match='images is a link'):
        extract(make_zip(tmp_path / 'a.zip', {entry: b'/etc'}), str(tmp_path / 'out'))


@pytest.mark.parametrize('suffix', ['zip', 'tar.gz', 'tgz'])
def test_broken_archives(tmp_path, suffix):
    good = tmp_path / f'good.{suffix}'
    content = bytes(range(256)) * 99
    if suffix == 'zip':
        make_zip(good, {'1.bin': content})
    else:
        make_tar(good, [(tarfile.TarInfo('1.bin'), content)])
    for name, data in (('cut', good.read_bytes()[:200]), ('text', b'<html>')):
        broken = tmp_path / f'{name}.{suffix}'
        broken.write_bytes(data)
        with pytest.raises(ValueError, match=rf'{name}\.{suffix}: cannot be unpacked'):
            extract(str(broken), str(tmp_path / 'out'))


def test_names():
    assert is_archive('DUTS-TR.ZIP') and is_archive('dtd-r1.0.1.tar.gz')
    assert not is_archive('HKU-IS.rar') and not is_archive('a.zip.txt')
