"""Unpacking of downloaded archives, which nobody has to trust."""

import os
import os.path as osp
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib

ARCHIVE_SUFFIXES = ('.zip', '.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')


def is_archive(path):
    """Tell by its name whether a file is an archive that :func:`extract` reads.

    Args:
        path (str): A file name.

    Returns:
        bool: Whether it is.
    """
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def extract(archive, folder):
    """Unpack an archive, and archives in it, into a folder.

    Only plain files are written, and only below ``folder``.

    Args:
        archive (str): A zip or tar file.
        folder (str): Where to; made if need be.

    Raises:
        ValueError: The archive is broken, encrypted or of another kind, or has a
            member outside of the folder or a link; the message names both.
    """
    unpack = _unpack_zip if archive.lower().endswith('.zip') else _unpack_tar
    try:
        inner = list(unpack(archive, folder))
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
    ) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk is full, no permission, ...
        raise ValueError(
            f'{archive}: cannot be unpacked ({error}). Fetch it again, or unpack it '
            'yourself and give the folder'
        ) from error
    for path in inner:
        extract(path, osp.dirname(path))
        os.remove(path)


def _unpack_zip(archive, folder):
    """Write the files of a zip file; yield the archives among them."""
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if member.is_dir():
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                raise ValueError(f'{archive}: {member.filename} is a link; refused')
            with file.open(member) as source:
                yield from _write(archive, member.filename, source, folder)


def _unpack_tar(archive, folder):
    """Write the files of a tar file; yield the archives among them."""
    with tarfile.open(archive) as file:
        for member in file:
            if member.isdir():
                continue
            if not member.isfile():
                raise ValueError(f'{archive}: {member.name} is a link; refused')
            with file.extractfile(member) as source:
                yield from _write(archive, member.name, source, folder)


def _write(archive, name, source, folder):
    """Write one file below a folder; yield its path if it is an archive."""
    name = posixpath.normpath(name.replace('\\', '/'))
    if name.startswith(('/', '../')) or name == '..' or name[1:2] == ':':
        raise ValueError(f'{archive}: {name} lies outside of the archive; refused')
    if osp.basename(name).startswith('.') or name.startswith('__MACOSX/'):
        return
    path = osp.join(folder, *name.split('/'))
    os.makedirs(osp.dirname(path), exist_ok=True)
    with open(path, 'wb') as target:
        shutil.copyfileobj(source, target)
    if is_archive(path):
        yield path
