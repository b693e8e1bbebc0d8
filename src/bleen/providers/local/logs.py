"""Logs of instances: written by the instances themselves, so that nothing is lost while the agent is away.

The lines carry no time of their own. The agent notes how long the file was at each look (once per health probe) in an
index beside it; a line's time is that of the first look that found it, so it is up to a probe's interval late, and
lines written while no agent ran have the time of its return. A file over its cap is copied and truncated: what an
instance writes within the microseconds between the two is lost.
"""

import asyncio
import heapq
import re
import struct
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bleen.domain.fleet import LogLine

MAX_BYTES = 10_000_000
_FOLLOW_SECONDS = 0.2
_MARK = struct.Struct("<Qd")
_BLOCK = 64 * 1024


class Log:
    """The log of one instance, and the one before it (``.1``)."""

    def __init__(self, folder: Path, instance: str, max_bytes: int = MAX_BYTES) -> None:
        self.instance = instance
        self.path = folder / f"{instance}.log"
        self.older = folder / f"{instance}.log.1"
        self._max_bytes = max_bytes
        self._seen = -1

    def size(self) -> int:
        """Return the bytes in the current file; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def look(self, now: datetime) -> None:
        """Note the time of lines that are new, and begin a new file where this one is too large.

        A full disk costs the times of lines, not the instance; so it is not an error here.
        """
        size = self.size()
        if size == self._seen:
            return
        try:
            with _index(self.path).open("ab") as index:
                index.write(_MARK.pack(size, now.timestamp()))
            self._seen = size
            if size > self._max_bytes:
                self._rotate()
        except OSError:
            return

    def _rotate(self) -> None:
        copied = 0
        with self.path.open("r+b") as current, self.older.open("wb") as older:
            while block := current.read(_BLOCK):
                older.write(block)
                copied += len(block)
            current.truncate(0)
        _index(self.path).replace(_index(self.older))
        self._seen = -1

    def tail(self, count: int, since: int = 0) -> list[str]:
        """Return the last ``count`` lines, of those after byte ``since`` of the current file."""
        lines = [line.text for line in _last_lines(self.path, self.instance, count, since)]
        if len(lines) < count and since == 0:
            lines = [line.text for line in _last_lines(self.older, self.instance, count - len(lines))] + lines
        return lines

    def read(self, count: int, *, until: int | None = None) -> list[LogLine]:
        """Return the last ``count`` lines with their times; of the current file only what is before byte ``until``."""
        lines = _last_lines(self.path, self.instance, count, until=until)
        if len(lines) < count:
            lines = _last_lines(self.older, self.instance, count - len(lines)) + lines
        return lines

    def end(self) -> int:
        """Return the offset behind the last whole line, where following begins."""
        start, data = _tail_bytes(self.path, 1, 0)
        return start + data.rfind(b"\n") + 1

    def after(self, offset: int) -> tuple[list[LogLine], int]:
        """Return the whole lines after ``offset`` and the offset behind them."""
        if self.size() < offset:
            offset = 0  # it was rotated
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(_BLOCK * 16)
        except FileNotFoundError:
            return [], 0
        whole = data[: data.rfind(b"\n") + 1]
        return list(_stamp(self.path, self.instance, whole, offset)), offset + len(whole)


def prune(folder: Path, live: Collection[str], days: float = 7.0) -> None:
    """Remove the logs of instances that are not ``live``, once nobody has written to them for so long."""
    before = time.time() - days * 86_400
    for path in [*folder.glob("*-r*.log"), *folder.glob("*-r*.log.1")]:
        if path.name.partition(".log")[0] not in live and path.stat().st_mtime < before:
            path.unlink()
            _index(path).unlink(missing_ok=True)


def _index(path: Path) -> Path:
    return path.with_name(f".{path.name}.times")


def _tail_bytes(path: Path, count: int, since: int, until: int | None = None) -> tuple[int, bytes]:
    """Return an offset and the bytes from there to the end, which hold at least the last ``count`` lines."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2) if until is None else until
            start, data = end, b""
            while start > since and data.count(b"\n") <= count:
                step = min(_BLOCK, start - since)
                start -= step
                file.seek(start)
                data = file.read(step) + data
            return start, data
    except FileNotFoundError:
        return 0, b""


def _last_lines(path: Path, instance: str, count: int, since: int = 0, until: int | None = None) -> list[LogLine]:
    start, data = _tail_bytes(path, count, since, until)
    return list(_stamp(path, instance, data, start))[-count:] if count > 0 else []


def _stamp(path: Path, instance: str, data: bytes, offset: int) -> Iterator[LogLine]:
    """Yield the lines of ``data``, which begins at ``offset``, each with the time of the look that found it."""
    try:
        marks = list(_MARK.iter_unpack(_whole_marks(_index(path).read_bytes())))
    except FileNotFoundError:
        marks = []
    ends = [end for end, _ in marks]
    now = datetime.now(UTC)
    for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", data):
        found = bisect_right(ends, offset)
        at = datetime.fromtimestamp(marks[found][1], UTC) if found < len(marks) else now
        yield LogLine(instance=instance, at=at, text=line.decode(errors="replace").rstrip("\r\n"))
        offset += len(line)


def _whole_marks(data: bytes) -> bytes:
    """A mark that was cut short by a full disk is left out."""
    return data[: len(data) // _MARK.size * _MARK.size]


def merge(logs: Sequence[Log], count: int, until: Mapping[str, int] | None = None) -> list[LogLine]:
    """Return the last ``count`` lines of each log, in order of time; ``until`` as in `Log.read`, by instance."""
    ends = until or {}
    return list(heapq.merge(*(log.read(count, until=ends.get(log.instance)) for log in logs), key=lambda line: line.at))


async def follow(current: Callable[[], Sequence[Log]], offsets: dict[str, int]) -> AsyncIterator[LogLine]:
    """Yield the new lines of ``current()`` for ever, beginning at ``offsets``; a new log is read from its start."""
    while True:
        for log in current():
            lines, offsets[log.instance] = log.after(offsets.get(log.instance, 0))
            for line in lines:
                yield line
        await asyncio.sleep(_FOLLOW_SECONDS)
