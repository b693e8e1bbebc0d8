"""The port `Backends` on a machine that has no gateway: nobody is told, and requests under way are counted as connections.

Gateways that no longer choose an instance close what they keep open to it. A connection is less than a request and more: one
that idles counts, so that an end may wait for the whole drain time, and none is cut off before.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bleen.domain.traffic import Backend
from bleen.ports import Backends

_ESTABLISHED = "01"
_MAPPED = "0000000000000000FFFF0000"
"""What the kernel writes before an IPv4 address in its table of IPv6."""
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


class Connections:
    """Keeps the port for the instances of one machine."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}

    async def set_backend(self, backend: Backend) -> None:
        """See `bleen.ports.Backends`. The controller tells the gateways, by what this machine reports."""
        for endpoint in backend.endpoints:
            self._ports[backend.name] = endpoint.port

    async def remove_backend(self, name: str) -> None:
        """See `bleen.ports.Backends`."""
        self._ports.pop(name, None)

    async def routed(self, name: str) -> bool:
        """Return False: who ends a machine does not ask it, and laws 3 and 4 were the controller's to keep."""
        return False

    async def active(self, name: str, address: str) -> int:
        """Return the connections that an instance has; 0 where none was ever ready."""
        if name not in self._ports:
            return 0
        return await asyncio.to_thread(_count, address, self._ports[name])


class Everywhere(Mapping[str, Backends]):
    """The same gateways for every region: a machine's own is its name, which nobody knows before it runs."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    def __getitem__(self, region: str) -> Backends:
        return self._backends

    def __contains__(self, region: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def established(table: str, address: str, port: int) -> int:
    """Return how many connections the kernel's ``table`` has at a local address and port."""
    packed = int.from_bytes(socket.inet_aton(address), sys.byteorder)
    wanted = {f"{before}{packed:08X}:{port:04X}" for before in ("", _MAPPED)}
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(len(row) > 3 and row[1] in wanted and row[3] == _ESTABLISHED for row in rows)


def _count(address: str, port: int) -> int:
    return sum(established(path.read_text(), address, port) for path in _TABLES if path.exists())
