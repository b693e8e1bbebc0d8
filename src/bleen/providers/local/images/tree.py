"""Trees of files: listing one as content, and checking that it still is that content."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bleen.domain.errors import BuildFailed, ImageRejected
from bleen.domain.image import Digest, File

PLAIN = 0o444
EXECUTABLE = 0o555
_CHUNK = 1 << 20


def hash_file(path: Path | str) -> Digest:
    """Return the digest of the bytes in ``path``, which is no link."""
    found = hashlib.sha256()
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while chunk := os.read(file, _CHUNK):
            found.update(chunk)
    finally:
        os.close(file)
    return f"sha256:{found.hexdigest()}"


def walk(top: Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield everything below ``top`` but ``top`` itself, folders before what is in them, in order of name."""
    with os.scandir(top / below) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        yield path, entry
        if entry.is_dir(follow_symlinks=False):
            yield from walk(top, path)


def list_files(top: Path) -> tuple[File, ...]:
    """Return the files below ``top`` by path; BuildFailed names one that cannot be part of an image.

    Folders are not content: an empty one is not kept.
    """
    files = [_describe(top, path, entry) for path, entry in walk(top) if not entry.is_dir(follow_symlinks=False)]
    return tuple(sorted(files, key=lambda file: file.path))


def copy_tree(top: Path, target: Path, files: Sequence[File]) -> None:
    """Write the ``files`` of ``top`` below ``target``."""
    for file in files:
        path = target / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            path.symlink_to(file.link)
        else:
            shutil.copyfile(top / file.path, path)
            path.chmod(EXECUTABLE if file.executable else PLAIN)


def _describe(top: Path, path: str, entry: os.DirEntry[str]) -> File:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise BuildFailed(f"{path!a} cannot be in an image", why="its name is not UTF-8", next="rename it") from error
    if entry.is_symlink():
        return File(path=path, digest=_link_digest(link := _inner_link(top, path)), size=0, link=link)
    if not entry.is_file(follow_symlinks=False):
        raise BuildFailed(f"{path} cannot be in an image", why="it is no file, folder or link", next="remove it")
    status = entry.stat(follow_symlinks=False)
    return File(path=path, digest=hash_file(top / path), size=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))


def _inner_link(top: Path, path: str) -> str:
    """Return where the link points; BuildFailed where that is outside, also by way of other links."""
    target = str((top / path).readlink())
    here, inside = top / path, top.resolve()
    reached = Path(os.path.realpath(here))
    if target.startswith("/") or not (reached == inside or reached.is_relative_to(inside)):
        raise BuildFailed(
            f"{path} cannot be in an image", why=f"it is a link to {target}, outside of the tree", next="replace it by a copy"
        )
    return target


def _link_digest(target: str) -> Digest:
    return f"sha256:{hashlib.sha256(os.fsencode(target)).hexdigest()}"


def fingerprint(top: Path) -> bytes:
    """Return what changes whenever something below ``top`` was written, replaced, renamed, linked or given another mode.

    The kernel sets the time of change; no program can set it back without setting the clock.
    """
    found = hashlib.sha256()
    pending = [str(top)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                status = entry.stat(follow_symlinks=False)
                found.update(
                    os.fsencode(f"{entry.name}\0{status.st_ino} {status.st_ctime_ns} {status.st_size} {status.st_mode}\n")
                )
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return found.digest()


def check_tree(top: Path, files: Sequence[File]) -> None:
    """Read every byte below ``top``; ImageRejected names a file that is not as ``files`` says, is missing or was added."""
    expected = {file.path: file for file in files}
    folders = _folders(expected)
    for path, entry in walk(top):
        if entry.is_dir(follow_symlinks=False):
            if path not in folders:
                raise _rejected(path, "the folder was added to the image")
            continue
        file = expected.pop(path, None)
        if file is None:
            raise _rejected(path, "it was added to the image")
        _check_file(entry, file)
    if expected:
        raise _rejected(min(expected), "it is missing")


def _folders(paths: Iterable[str]) -> set[str]:
    """Return every folder on the way to ``paths``."""
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _check_file(entry: os.DirEntry[str], file: File) -> None:
    if file.link or entry.is_symlink():
        if not (file.link and entry.is_symlink() and str(Path(entry.path).readlink()) == file.link):
            raise _rejected(file.path, "it is a link, or points, where it did not")
        return
    status = entry.stat(follow_symlinks=False)
    mode = EXECUTABLE if file.executable else PLAIN
    if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != mode:
        raise _rejected(file.path, f"its mode is {stat.filemode(status.st_mode)}, not {mode:o}")
    if status.st_size != file.size or hash_file(entry.path) != file.digest:
        raise _rejected(file.path, "its bytes are not those of its digest")


def _rejected(path: str, why: str) -> ImageRejected:
    return ImageRejected(f"{path} is not what it was", why=why, next="bleen image build makes the image again, and mends it")
