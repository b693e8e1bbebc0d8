"""Files and folders: what survives a crash, what a full disk says, who holds a lock."""

import asyncio
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from bleen.domain.errors import StorageFull

P = ParamSpec("P")
T = TypeVar("T")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_SAID_BY_TOOLS = ("no space left on device", "disk quota exceeded", "enospc", "edquot", "os error 28", "os error 122")


def no_room(folder: Path, why: str) -> StorageFull:
    """Return the error of a disk, that of ``folder``, without room."""
    return StorageFull(
        f"no room on the disk of {folder}", why=why, next="make room (bleen image list names images to remove), then try again"
    )


def says_no_room(text: str) -> bool:
    """Return whether the output of a tool says that the disk is full."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SAID_BY_TOOLS)


@contextmanager
def room_on(folder: Path) -> Iterator[None]:
    """Turn a full disk, or a spent quota, into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(folder, str(error)) from error
        raise


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``work(...)``, run in a thread. A cancelled caller still waits for its end: nobody cleans up under its feet."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``, whole or not at all, also across a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_folder(folder: Path, target: Path) -> None:
    """Copy what is in ``folder`` to ``target``, which may be there; links stay links."""
    shutil.copytree(folder, target, symlinks=True, copy_function=shutil.copy, dirs_exist_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` and everything below, read-only or not; nothing happens where it is not there."""
    if not folder.is_symlink() and not folder.is_dir():
        folder.unlink(missing_ok=True)
        return
    for parent, names, _ in os.walk(folder):
        for name in (".", *names):
            child = Path(parent, name)
            if not child.is_symlink():
                child.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def hold(path: Path) -> int | None:
    """Return a descriptor that holds the lock ``path``; None where another one holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold the lock ``path``, waiting for it in this thread: for work that takes no more than a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def waiting_for(path: Path, pause: float = 0.05) -> AsyncIterator[None]:
    """Hold the lock ``path``, asking for it every ``pause`` seconds, so that the wait can be cancelled."""
    while (descriptor := hold(path)) is None:  # noqa: ASYNC110
        await asyncio.sleep(pause)  # the holder may be another process: there is no event to wait for
    try:
        yield
    finally:
        os.close(descriptor)
