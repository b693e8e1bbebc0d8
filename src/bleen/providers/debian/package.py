"""What is in a ``.deb``: its control paragraph and its files, each path checked before anything of it is written."""

import io
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from typing import IO, cast

from debian.arfile import ArError, ArFile
from debian.deb822 import Deb822

from bleen.domain.base import Locked
from bleen.domain.errors import BuildFailed

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders that are links into ``usr``: a package may still name the old place."""


@dataclass(frozen=True)
class Member:
    """A file or a link of a package; folders are made where something is in them."""

    path: str
    """Relative to the root, links into ``usr`` followed."""
    data: bytes = b""
    executable: bool = False
    target: str = ""
    """Where a symbolic link points, relative to its own folder."""
    privileged: bool = False
    """It had a setuid or setgid bit, which is not kept."""


@dataclass(frozen=True)
class Package:
    """A package, read and checked."""

    locked: Locked
    control: Deb822
    members: tuple[Member, ...] = field(repr=False)


def open_package(data: bytes, locked: Locked) -> Package:
    """Return what is in the package; BuildFailed where it cannot be read, or would reach out of the image."""
    try:
        archive = ArFile(fileobj=io.BytesIO(data))
        control = _control(_tar(archive, "control.tar"))
        members = tuple(_members(_tar(archive, "data.tar"), locked.name))
    except _UNREADABLE as error:
        raise _unreadable(locked, error) from error
    return Package(locked, control, members)


_UNREADABLE = (ArError, tarfile.TarError, LZMAError, EOFError, KeyError, ValueError)


def _unreadable(locked: Locked, error: Exception) -> BuildFailed:
    return BuildFailed(f"{locked.name} {locked.version} cannot be unpacked", why=str(error) or "it is no package")


def read_control(data: bytes, locked: Locked) -> Deb822:
    """Return what the package says of itself, without unpacking its files; BuildFailed where it cannot be read."""
    try:
        return _control(_tar(ArFile(fileobj=io.BytesIO(data)), "control.tar"))
    except _UNREADABLE as error:
        raise _unreadable(locked, error) from error


def find_file(data: bytes, locked: Locked, beginning: str) -> bytes:
    """Return the first file of the package whose path begins so; nothing behind it is unpacked. BuildFailed for none."""
    try:
        with _tar(ArFile(fileobj=io.BytesIO(data)), "data.tar") as tar:
            for found in tar:
                file = tar.extractfile(found) if found.isreg() else None
                if file and inner_path(found.name, locked.name).startswith(beginning):
                    return file.read()
    except _UNREADABLE as error:
        raise _unreadable(locked, error) from error
    raise BuildFailed(f"{locked.name} {locked.version} has no {beginning}", why="it is another package than it was taken for")


def _tar(archive: ArFile, name: str) -> tarfile.TarFile:
    found = next((member for member in archive.getmembers() if member.name.startswith(name)), None)
    if found is None:
        raise KeyError(f"it has no {name}")
    if found.name.endswith(".zst"):
        raise ValueError("it is compressed with zstd, which Debian does not use and this builder cannot read")
    # It has what a file to read has, and does not say so to type checkers.
    return tarfile.open(fileobj=cast(IO[bytes], found), mode="r:*")


def _control(tar: tarfile.TarFile) -> Deb822:
    with tar:
        file = next((tar.extractfile(member) for member in tar if member.name.lstrip("./") == "control"), None)
        if file is None:
            raise KeyError("it has no control file")
        return Deb822(file.read().decode("utf-8", "replace"))


def _members(tar: tarfile.TarFile, package: str) -> Iterator[Member]:
    seen: dict[str, Member] = {}
    with tar:
        for found in tar:
            path = inner_path(found.name, package)
            if not path or found.isdir():
                continue
            seen[path] = member = _member(tar, found, path, seen, package)
            yield member


def _member(tar: tarfile.TarFile, found: tarfile.TarInfo, path: str, seen: dict[str, Member], package: str) -> Member:
    if found.issym():
        return Member(path, target=inner_target(path, found.linkname, package))
    if found.islnk():
        # A second name of a file that came before it: two files with the same bytes, which the store keeps once.
        first = seen.get(inner_path(found.linkname, package))
        if first is None:
            raise _refused(package, found.name, f"it is a second name of {found.linkname}, which is not there")
        return Member(path, first.data, first.executable, first.target, first.privileged)
    if not found.isreg():
        raise _refused(package, found.name, "it is a device, a pipe or another thing that is no file")
    file = tar.extractfile(found)
    data = file.read() if file else b""
    privileged = bool(found.mode & (stat.S_ISUID | stat.S_ISGID))
    return Member(path, data, bool(found.mode & stat.S_IXUSR), privileged=privileged)


def inner_path(name: str, package: str) -> str:
    """Return where ``name`` belongs below the root; BuildFailed where that is outside."""
    if name.startswith("/") or "\\" in name or "\0" in name:
        raise _refused(package, name, "its path is absolute, or not one of this system")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refused(package, name, "its path leaves the image")
    if len(parts) > 1 and parts[0] in MERGED:
        parts.insert(0, "usr")
    return "/".join(parts)


def inner_target(path: str, target: str, package: str) -> str:
    """Return the link's target relative to its folder: absolute ones mean the image's root; BuildFailed for those outside."""
    folder = posixpath.dirname(path)
    # Lexically, in the place where the link really is: `lib/x` may be written where `usr/lib/x` is.
    reached = posixpath.normpath(target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target))
    if reached.split("/")[0] == "..":
        raise _refused(package, path, f"it is a link to {target}, out of the image")
    if reached.split("/")[0] in MERGED:
        reached = f"usr/{reached}"
    return posixpath.relpath(reached, folder or ".") if target.startswith("/") else target


def _refused(package: str, name: str, why: str) -> BuildFailed:
    return BuildFailed(f"{name!r} of {package} cannot be in an image", why=why, next="leave the package out of the recipe")
