"""Look into archives, and take single files out of them.

An archive comes from the network, so nothing in it is believed: a name that would leave the target folder, a link, or a
member that unpacks to far more than it can hold stops everything. Members are found by the end of their path, whatever
folder a mirror packed them in: ``1.jpg`` is ``images/1.jpg``, and ``val/1.jpg`` is ``coco/val/1.jpg``.
"""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from tqdm import tqdm

from layerwise.command import finished_file
from layerwise.datasets.disk import check_free_space, says_when_full
from layerwise.errors import InputError

CHUNK = 1 << 20
# Annotations shrink to a tenth or a twentieth, images hardly; only nothing but zeros shrinks to a thousandth.
LARGEST_RATIO = 200
# Below so many bytes no ratio harms anyone.
SMALL = 1 << 24
# What the readers of zip, tar and gzip raise on bytes that are damaged, cut short or packed in a way they do not know.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


class Readable(Protocol):
    """An open file, packed or not."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive.
        size: bytes when unpacked; None where only unpacking tells.
        limit: more bytes than this are never written for it.
        open: opens its content for reading. Of a tar archive, only until the next member is asked for.
    """

    name: str
    size: int | None
    limit: int
    open: Callable[[], AbstractContextManager[Readable]]


def check_archive(file: Path, name: str, *, thorough: bool) -> None:
    """Check that an archive can be read and that its names are safe; files of other kinds must only hold something.

    Args:
        file: where it lies now.
        name: what it is called, which says what it is.
        thorough: also read every member to its end, against the checksums in the archive.

    Raises:
        InputError: naming the member where one is to blame.
    """
    if file.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty")
    # A tar archive has no list of its members, so that reading the names is reading it all.
    thorough |= _is_tar(name)
    for member in _members(file, name):
        if thorough:
            with _naming_damage(name, member.name), member.open() as content:
                for _ in _chunks(content, member, name):
                    pass


def unpack(archive: Path, wanted: dict[str, Path]) -> list[str]:
    """Take the members with the ``wanted`` names (ends of their paths) out of an archive, each to its target path.

    All targets are taken to lie on one disk.

    A target appears under its name only when it is whole and on the disk; one of the right size that is there is kept.

    Returns:
        The wanted names that the archive does not have.

    Raises:
        InputError: on an unsafe or damaged archive, two members of one wanted name, or a full disk.
    """
    if not wanted:
        return []
    for target in wanted.values():
        target.parent.mkdir(parents=True, exist_ok=True)
    check_free_space(target.parent, sum(_sizes(archive, wanted).values()), f"unpacking {archive.name}")
    found: set[str] = set()
    with tqdm(total=len(wanted), desc=archive.name, unit="file", mininterval=10) as progress:
        for member in _members(archive, archive.name):
            name = _wanted_name(member, wanted)
            if name is None:
                continue
            if name in found:
                raise InputError(
                    f"{archive}: {member.name} is not the only member called {name}; which of them is meant?"
                )
            found.add(name)
            target = wanted[name]
            if not (target.exists() and target.stat().st_size == member.size):
                _write(archive, member, target)
            progress.update()
    return [name for name in wanted if name not in found]


def _write(archive: Path, member: Member, target: Path) -> None:
    with (
        says_when_full(target.parent, f"{member.name} of {archive.name} was not unpacked; run the same command again"),
        _naming_damage(archive, member.name),
        finished_file(target) as partial,
        member.open() as content,
        open(partial, "wb") as out,
    ):
        for chunk in _chunks(content, member, archive):
            out.write(chunk)


def _chunks(content: Readable, member: Member, archive: str | Path) -> Iterator[bytes]:
    """The member's content, as long as it is no more than the member can hold."""
    size = 0
    while chunk := content.read(CHUNK):
        size += len(chunk)
        if size > member.limit:
            raise InputError(f"{archive}: {member.name} unpacks to more than {member.limit} bytes; nothing real does")
        yield chunk
    if member.size is not None and size != member.size:
        raise InputError(f"{archive}: {member.name} ends after {size} of {member.size} bytes; download it again")


def _wanted_name(member: Member, wanted: dict[str, Path]) -> str | None:
    parts = PurePosixPath(member.name).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in wanted), None)


def _sizes(archive: Path, wanted: dict[str, Path]) -> dict[Path, int]:
    """Bytes by target of what has still to be written, where the archive tells them without being unpacked."""
    if _is_tar(archive.name):
        return {}
    named = ((_wanted_name(member, wanted), member.size) for member in _members(archive, archive.name))
    sizes = {wanted[name]: size for name, size in named if name is not None and size is not None}
    return {target: size for target, size in sizes.items() if not target.exists()}


def _is_tar(name: str) -> bool:
    return name.endswith((".tar.gz", ".tgz", ".tar"))


def _members(file: Path, name: str) -> Iterator[Member]:
    """The files in an archive, after a check of their names: in a zip of all of them first, in a tar one by one."""
    if name.endswith(".zip"):
        return _zip_members(file, name)
    if _is_tar(name):
        return _tar_members(file, name)
    size = file.stat().st_size
    if name.endswith(".gz"):
        limit = max(SMALL, LARGEST_RATIO * size)
        return iter([Member(name.removesuffix(".gz"), None, limit, lambda: gzip.open(file, "rb"))])
    return iter([Member(name, size, size, lambda: open(file, "rb"))])


def _zip_members(file: Path, name: str) -> Iterator[Member]:
    with _naming_damage(name, None), zipfile.ZipFile(file) as archive:
        files = []
        for info in archive.infolist():
            # What the archive says, not what zipfile makes of it.
            _check_name(info.orig_filename, name)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"{name}: the member {info.filename!r} is a link or device; it is not unpacked")
            if info.flag_bits & 1:
                raise InputError(f"{name}: the member {info.filename!r} is encrypted")
            if info.file_size > max(SMALL, LARGEST_RATIO * info.compress_size):
                raise InputError(
                    f"{name}: the member {info.filename!r} is to unpack from {info.compress_size} bytes to "
                    f"{info.file_size}; nothing real does"
                )
            if not info.is_dir():
                files.append(info)
        for info in files:
            yield Member(info.filename, info.file_size, info.file_size, _opener(archive, info))


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], AbstractContextManager[Readable]]:
    return lambda: archive.open(info)


def _tar_members(file: Path, name: str) -> Iterator[Member]:
    # Through gzip's own reader: in its stream mode tarfile does not look at gzip's checksum.
    opener = open if name.endswith(".tar") else gzip.open
    with _naming_damage(name, None), opener(file, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            _check_name(info.name, name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise InputError(f"{name}: the member {info.name!r} is a link, device or sparse file; not unpacked")
            yield Member(info.name, info.size, info.size, _tar_opener(archive, info))
        # To the end, where gzip keeps its checksum.
        while stream.read(CHUNK):
            pass


def _tar_opener(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], AbstractContextManager[Readable]]:
    def opened() -> IO[bytes]:
        content = archive.extractfile(info)
        if content is None:
            raise ValueError(f"{info.name!r} is no file")
        return content

    return opened


def _check_name(member: str, archive: str) -> None:
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in member:
        raise InputError(f"{archive}: the member {member!r} would leave the folder; nothing is unpacked")


@contextmanager
def _naming_damage(archive: str | Path, member: str | None) -> Iterator[None]:
    """Turn what the readers raise on a damaged archive into one error."""
    try:
        yield
    except DAMAGE as error:
        where = f"{archive}: {member}" if member else str(archive)
        raise InputError(f"{where} is damaged or cut short ({error}); download it again") from error
