"""Images of archives: tar (plain, gz, bz2, xz) and zip, each member checked before anything of it is written."""

import hashlib
import lzma
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import IO

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import BuildFailed, ImageRejected
from bleen.domain.image import Archive, Digest
from bleen.providers.local.images import disk
from bleen.providers.local.images.directory import finish, refuse_runtime
from bleen.providers.local.images.process import Shell

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, NotImplementedError)


class Kind(Enum):
    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Member:
    """One member of an archive, whatever the format."""

    name: str
    kind: Kind
    mode: int
    open: Callable[[], IO[bytes]]
    target: str = ""
    """Where a link points, or the member that a hard link repeats."""


class ArchiveRecipe(Value, frozen=True):
    """What is in an archive, as it is there: no top folder is taken away."""

    source: Archive
    folder: str

    @property
    def request(self) -> Digest:
        return digest_of({"archive": self.source, "in": self.folder})

    async def gather(self, stage: Path, shell: Shell) -> Digest:
        path = Path(self.folder, self.source.path)
        if not await disk.in_thread(path.is_file):
            raise BuildFailed(f"there is no archive {path}", next="correct image.path in the service file")
        found = await disk.in_thread(_copy_hashing, path, Path(shell.folder, "archive"))
        if self.source.digest not in (None, found):
            raise ImageRejected(
                f"{path} is not the archive that was asked for",
                why=f"its digest is {found}, not {self.source.digest}",
                next="get the right archive, or correct image.digest in the service file",
            )
        return digest_of({"archive": found, "for": shell.target.runtime})

    async def assemble(self, stage: Path, shell: Shell) -> str:
        await disk.in_thread(extract, Path(shell.folder, "archive"), stage, self.source.path)
        refuse_runtime(stage)
        return await finish(stage, shell)


def _copy_hashing(path: Path, copy: Path) -> Digest:
    """Copy ``path``, which may change while it is read, and return the digest of the copy."""
    found = hashlib.sha256()
    with path.open("rb") as source, copy.open("xb") as target:
        while chunk := source.read(1 << 20):
            found.update(chunk)
            target.write(chunk)
    return f"sha256:{found.hexdigest()}"


def extract(archive: Path, stage: Path, name: str) -> None:
    """Write the members of ``archive`` below ``stage``; BuildFailed names the first that would reach out of it.

    Links are made last, so that none is there to be written through.
    """
    links: dict[str, str] = {}
    with _open(archive, name) as members:
        for member in members:
            path = _inner_path(member)
            if member.kind is Kind.LINK:
                if path in links:
                    raise _refused(member, "it is there twice")
                links[path] = member.target
            elif path:
                _write(member, stage / path)
    for path, target in links.items():
        try:
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).symlink_to(target)
        except (FileExistsError, NotADirectoryError) as error:
            raise BuildFailed(f"{path} cannot be unpacked", why="it is a link and a file or folder at once") from error


def _inner_path(member: Member) -> str:
    """Return where the member belongs; BuildFailed where that is outside, or where it is not to be trusted."""
    name = member.name.rstrip("/")
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name:
        raise _refused(member, "its path is absolute, or not one of this system")
    if ".." in parts:
        raise _refused(member, "its path leaves the tree")
    if member.kind is Kind.OTHER:
        raise _refused(member, "it is a device, a pipe or another thing that is no file")
    if member.mode & (stat.S_ISUID | stat.S_ISGID) and member.kind is not Kind.FOLDER:
        raise _refused(member, "it has a setuid or setgid bit")
    if member.target and _leaves(name, member):
        raise _refused(member, f"it is a link to {member.target}, out of the tree")
    return "/".join(part for part in parts if part not in ("", "."))


def _leaves(name: str, member: Member) -> bool:
    start = posixpath.dirname(name) if member.kind is Kind.LINK else ""
    reached = posixpath.normpath(posixpath.join(start, member.target))
    return reached.startswith("/") or reached.split("/")[0] == ".."


def _write(member: Member, path: Path) -> None:
    try:
        if member.kind is Kind.FOLDER:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("xb") as target:
            shutil.copyfileobj(source, target)
    except (FileExistsError, NotADirectoryError) as error:
        raise _refused(member, "it is there twice") from error
    path.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)


def _refused(member: Member, why: str) -> BuildFailed:
    return BuildFailed(f"{member.name!r} cannot be unpacked", why=why, next="make the archive again without it")


@contextmanager
def _open(archive: Path, name: str) -> Iterator[Iterator[Member]]:
    """Lend the members of ``archive``; what is wrong with its bytes is BuildFailed under ``name``."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield _zip_members(zipped)
        else:
            with tarfile.open(archive, "r:*") as tarred:
                yield _tar_members(tarred)
                _read_out(tarred)
    except _BROKEN as error:
        raise _unreadable(name, error) from error
    except OSError as error:
        # The decompressors say so of bad bytes; errors of the system have a number.
        if error.errno is not None:
            raise
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> BuildFailed:
    return BuildFailed(
        f"{name} cannot be read as an archive",
        why=str(error),
        next="make a tar (plain, gz, bz2 or xz) or a zip of the application",
    )


def _tar_members(tarred: tarfile.TarFile) -> Iterator[Member]:
    for found in tarred:
        if found.issym():
            kind = Kind.LINK
        elif found.isdir():
            kind = Kind.FOLDER
        else:
            kind = Kind.FILE if found.isreg() or found.islnk() else Kind.OTHER
        yield Member(found.name, kind, found.mode, _tar_reader(tarred, found), found.linkname)


def _read_out(tarred: tarfile.TarFile) -> None:
    """Read past the last member: a checksum is at the very end of a compressed archive, where nobody else looks."""
    while tarred.fileobj is not None and tarred.fileobj.read(1 << 20):
        pass


def _tar_reader(tarred: tarfile.TarFile, found: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def read() -> IO[bytes]:
        opened = tarred.extractfile(found)
        if opened is None:
            raise tarfile.ExtractError(f"{found.name} has no bytes")
        return opened

    return read


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[Member]:
    for found in zipped.infolist():
        mode = found.external_attr >> 16
        kind = _zip_kind(found, mode)
        if found.flag_bits & 1:
            raise zipfile.BadZipFile(f"{found.filename} is encrypted")
        target = zipped.read(found).decode(errors="replace") if kind is Kind.LINK else ""
        yield Member(found.filename, kind, mode, _zip_reader(zipped, found), target)


def _zip_kind(found: zipfile.ZipInfo, mode: int) -> Kind:
    if found.is_dir():
        return Kind.FOLDER
    if stat.S_ISLNK(mode):
        return Kind.LINK
    # Archives made on other systems have no file type.
    return Kind.FILE if stat.S_IFMT(mode) in (0, stat.S_IFREG) else Kind.OTHER


def _zip_reader(zipped: zipfile.ZipFile, found: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: zipped.open(found)
