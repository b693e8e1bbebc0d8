"""Files that Envoy reads: written whole, renamed into place, one writer at a time."""

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bleen.domain.errors import NotConverged, StorageFull

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_whole(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one rename that survives a power cut; StorageFull leaves the old file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if error.errno in _NO_ROOM:
            raise StorageFull(f"{path} could not be written", why="no room on the disk", next="free some space") from error
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


async def replace(path: Path, data: bytes, gap: float) -> None:
    """Write ``data`` to ``path`` no sooner than ``gap`` seconds after the last rename, whichever process made that.

    Envoy can miss the second of two renames in quick succession.
    """
    age = age_of(path)
    if 0 <= age < gap:
        await asyncio.sleep(gap - age)
    await asyncio.to_thread(write_whole, path, data)


def age_of(path: Path) -> float:
    """Return the seconds since ``path`` was written; infinity where there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


@asynccontextmanager
async def writing(path: Path, patience: float = 10.0) -> AsyncIterator[None]:
    """Hold the right to write ``path`` against every other process; NotConverged when it is not had in time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        while not _take(lock.fileno()):
            if time.monotonic() > deadline:
                raise NotConverged(f"{path} could not be written", why=f"another process held it for {patience:g} s")
            await asyncio.sleep(0.002)
        yield


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
