"""Writes the archive that a kernel unpacks as its first root: cpio, format ``newc`` (Documentation/driver-api/early-userspace).

The same entries give the same bytes: no times, no owners but root.
"""

import stat
from pathlib import PurePosixPath
from typing import IO

_MAGIC = b"070701"
_LAST = "TRAILER!!!"
LARGEST = 0xFFFFFFFF
"""Bytes of one file: its size has eight hexadecimal digits."""


class Archive:
    """Writes to ``file``, folders before what is in them. `close` ends it and leaves ``file`` open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._folders: set[str] = set()
        self._count = 0

    def folder(self, path: str) -> None:
        """Add a folder, and those above it, unless it is there."""
        if path in self._folders:
            return
        self._above(path)
        self._folders.add(path)
        self._write(path, stat.S_IFDIR | 0o755)

    def add(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Add a file."""
        self._above(path)
        self._write(path, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._above(path)
        self._write(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int) -> None:
        """Add a character device that root alone may use."""
        self._above(path)
        self._write(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def close(self) -> None:
        """Say that nothing follows."""
        self._write(_LAST, 0)

    def _above(self, path: str) -> None:
        above = str(PurePosixPath(path).parent)
        if above != ".":
            self.folder(above)

    def _write(self, path: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        if len(data) > LARGEST:
            raise ValueError(f"{path} is larger than this format can say")
        self._count += 1
        name = path.encode() + b"\0"
        # Number, mode, owner, group, links, time, size, device that it is on, device that it is, length of the name, sum.
        numbers = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        head = _MAGIC + b"".join(b"%08X" % number for number in numbers) + name
        self._file.write(_padded(head))
        self._file.write(_padded(data))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
