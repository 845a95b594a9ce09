"""Safe unpacking of downloaded archives."""

import os
import os.path as osp
import platform
import posixpath
import stat
import tarfile
import zipfile
import zlib

__all__ = ['extract', 'is_archive']

ARCHIVE_SUFFIXES = ('.zip', '.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz')
# Images are already compressed, and masks shrink to a few per cent. An archive that
# unpacks to more than these limits is a decompression bomb.
MAX_RATIO = 200
MAX_SMALL = 2**28  # bytes; smaller archives are never refused
# Published sets have archives in archives, never deeper.
MAX_DEPTH = 3


def is_archive(path: str) -> bool:
    """Whether a file, by its name, is an archive that :func:`extract` reads.

    Args:
        path (str): A file name.
    """
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def extract(archive: str, folder: str) -> None:
    """Unpack an archive, and archives in it, into a folder.

    Only plain files are written, and only below ``folder``. Hidden files are left out.

    Args:
        archive (str): A zip or tar file.
        folder (str): Where to; made if needed.

    Raises:
        ValueError: The archive is broken, encrypted or of another kind, unpacks to far
            more than its size, or has a link or a member outside of the folder. The
            message names the archive and the problem.
    """
    limit = max(MAX_SMALL, MAX_RATIO * osp.getsize(archive))
    pending = [(archive, folder, 0)]
    while pending:
        path, place, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError(
                f'{archive}: archives in archives, more than {MAX_DEPTH} deep; refused'
            )
        source = path
        if depth:  # it may hold a file with its own name
            source = osp.join(place, f'.unpacking-{osp.basename(path)}')
            os.replace(path, source)
        admission = _Admission(path, limit)
        _unpack(source, place, admission)
        limit = admission.limit
        pending += [
            (osp.join(place, name), osp.dirname(osp.join(place, name)), depth + 1)
            for name in admission.archives
        ]
        if depth:
            os.remove(source)


class _Admission:
    """Which members of an archive are written, and under which name.

    Attributes:
        limit (int): Bytes that may still be written.
        archives (list[str]): Names of the admitted members that are archives.
    """

    def __init__(self, archive: str, limit: int) -> None:
        self.archive = archive
        self.limit = limit
        self.archives: list[str] = []

    def total(self, size: int) -> None:
        """Refuse bytes beyond the limit.

        Args:
            size (int): Bytes that are to be unpacked.

        Raises:
            ValueError: If it is more than the limit.
        """
        if size > self.limit:
            raise ValueError(
                f'{self.archive}: unpacks to more than {MAX_RATIO} times its size, as '
                'no set of images does; refused. If you trust it, unpack it yourself '
                'and give the folder'
            )

    def name(self, name: str, size: int, is_link: bool) -> str | None:
        """Name of a member below the folder; None if it is left out.

        Args:
            name (str): As the archive has it.
            size (int): Bytes of the unpacked file.
            is_link (bool): Whether it is neither a file nor a folder.

        Raises:
            ValueError: If it is a link, lies outside, or is too large.
        """
        if is_link:
            raise ValueError(f'{self.archive}: {name} is a link; refused')
        name = posixpath.normpath(name.replace('\\', '/'))
        if name.startswith(('/', '../')) or name == '..' or name[1:2] == ':':
            raise ValueError(
                f'{self.archive}: {name} lies outside of the archive; refused'
            )
        if posixpath.basename(name).startswith('.') or name.startswith('__MACOSX/'):
            return None
        self.total(size)
        self.limit -= size
        if is_archive(name):
            self.archives.append(name)
        return name


def _unpack(source: str, folder: str, admission: _Admission) -> None:
    """Write the admitted members of one archive."""
    try:
        if source.lower().endswith('.zip'):
            _unpack_zip(source, folder, admission)
        else:
            _unpack_tar(source, folder, admission)
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
            f'{admission.archive}: cannot be unpacked ({error}). Fetch it again, or '
            'unpack it yourself and give the folder'
        ) from error


def _unpack_zip(source: str, folder: str, admission: _Admission) -> None:
    with zipfile.ZipFile(source) as file:
        admission.total(sum(member.file_size for member in file.infolist()))
        for member in file.infolist():
            if member.is_dir():
                continue
            name = admission.name(
                member.filename,
                member.file_size,  # zipfile reads at most that
                stat.S_ISLNK(member.external_attr >> 16),
            )
            if name is not None:
                member.filename = name
                file.extract(member, folder)


def _unpack_tar(source: str, folder: str, admission: _Admission) -> None:
    if not hasattr(tarfile, 'data_filter'):
        raise ValueError(
            f'{admission.archive}: Python {platform.python_version()} cannot unpack '
            'tar files safely: use 3.10.12, 3.11.4 or later, or unpack it yourself and '
            'give the folder'
        )

    def admit(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        if member.isdir():
            return None
        name = admission.name(member.name, member.size, not member.isfile())
        if name is None:
            return None
        return tarfile.data_filter(member.replace(name=name, deep=False), path)

    with tarfile.open(source) as file:
        file.extractall(folder, filter=admit)
