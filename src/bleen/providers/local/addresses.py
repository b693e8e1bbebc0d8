"""Loopback addresses: one for each instance, as machines have, from a block that the home's path picks."""

import errno
import hashlib
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

from bleen.domain.errors import PortTaken

_LAST = 254 * 254


def candidates(home: Path) -> Iterator[str]:
    """Yield the addresses of the platform at ``home``, in its own order.

    The home picks the second octet (never 127.0, which other programs use) and where to begin below it, so that
    two platforms on one machine hardly ever meet; where they do, `check_free` sees it.
    """
    seed = int.from_bytes(hashlib.sha256(str(home).encode()).digest()[:8])
    block, start = 1 + seed % 254, (seed >> 16) % _LAST
    for step in range(_LAST):
        high, low = divmod((start + step) % _LAST, 254)
        yield f"127.{block}.{high + 1}.{low + 1}"


def allocate(home: Path, used: Collection[str]) -> str:
    """Return the first address of ``home`` that is not in ``used``."""
    for address in candidates(home):
        if address not in used:
            return address
    raise PortTaken("every loopback address of this platform is in use", next="bleen status shows the fleets")


def check_free(address: str, port: int) -> None:
    """Return if a server could listen there; PortTaken names who does."""
    with socket.socket() as probe:
        # Servers set this too: connections of an earlier instance in TIME_WAIT must not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PortTaken(f"nothing can listen on {address}:{port}", why=str(error)) from error
            raise PortTaken(f"{address}:{port} is taken by {_listener(address, port)}") from error


def _listener(address: str, port: int) -> str:
    """Return ``python3 (pid 12)`` for who listens there, as far as this user may know."""
    import psutil  # here: it is needed rarely, and costs 1 MB

    for found in psutil.net_connections("inet"):
        where = found.laddr
        if found.status != psutil.CONN_LISTEN or not where or where.port != port:
            continue
        if where.ip in (address, "0.0.0.0", "::") and found.pid:
            try:
                return f"{psutil.Process(found.pid).name()} (pid {found.pid})"
            except psutil.Error:
                return f"pid {found.pid}"
    return "another program"
