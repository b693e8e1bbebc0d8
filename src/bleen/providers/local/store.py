"""Small JSON files that are either the old ones or the new ones, whatever ends the process in between."""

import asyncio
import errno
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from bleen.domain.codec import decode, encode
from bleen.domain.errors import InvalidInput, StorageFull

log = logging.getLogger("bleen.agent")


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``, durably; StorageFull leaves the old file as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, path) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError, path: Path) -> Exception:
    """Return what Bleen calls ``error``: StorageFull where the disk or a quota is full, else ``error`` itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"{path} could not be written",
            why=os.strerror(error.errno),
            next=f"make room on the disk of {path.parent}; see df -h",
        )
    return error


class Shelf:
    """Keeps values in files, and in memory while the disk is full."""

    def __init__(self, retry_seconds: float = 2.0) -> None:
        self._retry_seconds = retry_seconds
        self._wanted: dict[Path, object] = {}
        self._locks: dict[Path, asyncio.Lock] = {}
        self._retry: asyncio.Task[None] | None = None

    async def put(self, path: Path, value: object) -> None:
        """Write ``value`` to ``path``; StorageFull where there is no room, and then nothing is remembered."""
        # Shielded: a thread cannot be cancelled, and must keep its lock until it is done.
        await asyncio.shield(self._put(path, value))

    async def _put(self, path: Path, value: object) -> None:
        async with self._locks.setdefault(path, asyncio.Lock()):
            self._wanted.pop(path, None)
            # Off the event loop: a slow disk must not hold up health probes.
            await asyncio.to_thread(write_atomically, path, encode(value))

    async def keep(self, path: Path, value: object) -> None:
        """Write ``value`` to ``path``, now or when there is room again."""
        self._wanted[path] = value
        try:
            await asyncio.shield(self._write(path))
        except StorageFull as error:
            log.warning("%s; it is kept in memory until there is room", error.what)
            if self._retry is None or self._retry.done():
                self._retry = asyncio.create_task(self._write_later())

    async def forget(self, path: Path) -> None:
        """Remove the file."""
        async with self._locks.setdefault(path, asyncio.Lock()):
            self._wanted.pop(path, None)
            await asyncio.to_thread(path.unlink, True)
        self._locks.pop(path, None)

    async def forget_below(self, folder: Path) -> None:
        """Remove a folder and what is in it."""
        for path in [p for p in self._locks if p.is_relative_to(folder)]:
            await self.forget(path)
        await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _write(self, path: Path) -> None:
        async with self._locks.setdefault(path, asyncio.Lock()):
            if path not in self._wanted:
                return  # a later value was written meanwhile
            value = self._wanted[path]
            await asyncio.to_thread(write_atomically, path, encode(value))
            if self._wanted.get(path) is value:
                del self._wanted[path]

    async def _write_later(self) -> None:
        while self._wanted:
            await asyncio.sleep(self._retry_seconds)
            for path in list(self._wanted):
                try:
                    await self._write(path)
                except StorageFull:
                    break  # still full: the next round tries again

    async def close(self) -> None:
        """Stop trying."""
        if self._retry is not None:
            self._retry.cancel()


def load(path: Path, kind: type[Any]) -> Any:
    """Return the ``kind`` in ``path``; InvalidInput where it holds none."""
    try:
        return decode(path.read_bytes(), kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InvalidInput(
            f"{path} cannot be read",
            why=str(error),
            next="move the folder of this home away and start anew: bleen up",
            where=str(path),
        ) from error
