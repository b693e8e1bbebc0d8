"""Backends at one or more Envoys: who stands behind each cluster."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from bleen.domain.codec import Value
from bleen.domain.errors import LawBroken, Unreachable
from bleen.domain.listing import named
from bleen.domain.traffic import Backend
from bleen.providers.envoy.admin import Admin, ClusterConfig
from bleen.providers.envoy.files import writing
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.render import clusters
from bleen.providers.envoy.table import PATIENCE, Published, Rounds


class Change(Value, frozen=True):
    """What a backend ought to be; None: gone."""

    name: str
    backend: Backend | None


def connections(address: str, table: Path = Path("/proc/net/tcp")) -> int:
    """Return how many connections from this machine to ``address``, any port, are established."""
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return sum(row[2].startswith(f"{wanted}:") and row[3] == "01" for row in rows)


class EnvoyBackends:
    """Port `Backends` over the Envoys of ``places``. ``count`` counts the connections to an instance's address."""

    def __init__(self, places: Sequence[Place], count: Callable[[str], int] = connections) -> None:
        self._tables = [BackendTable(place) for place in places]
        self._count = count

    async def close(self) -> None:
        """Give back its sockets."""
        for table in self._tables:
            await table.admin.close()

    async def set_backend(self, backend: Backend) -> None:
        """Give every gateway exactly these endpoints, and return when each one reports them."""
        await self._put(Change(backend.name, backend))

    async def remove_backend(self, name: str) -> None:
        """Forget the backend; LawBroken(3) where a gateway is observed to route to it."""
        for table in self._tables:
            if await table.routed(name):
                raise LawBroken(3, f"{table.place.name} still has a route to {name}")
        await self._put(Change(name, None))

    async def _put(self, change: Change) -> None:
        outcomes = await asyncio.gather(*(table.put(change) for table in self._tables), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def routed(self, name: str) -> bool:
        """Return whether some gateway is observed to name the backend in a route; True where one is silent."""
        for table in self._tables:
            try:
                if await table.routed(name):
                    return True
            except Unreachable:
                return True
        return False

    async def active(self, name: str, address: str) -> int:
        """Return the requests under way to one endpoint, over all gateways that answer.

        Envoy forgets an endpoint that was removed while its requests still run. It closes idle connections to it at
        once, though, and one connection carries one request: so those that are left are the requests.
        """
        answers = await asyncio.gather(*(table.active(name, address) for table in self._tables))
        listed = [each.listed for each in answers if each is not None and each.listed is not None]
        if listed:
            return sum(listed)
        under_way = sum(each.backend for each in answers if each is not None)
        return min(under_way, self._count(address)) if under_way else 0


class Active(Value, frozen=True):
    """Requests under way at one gateway: to the endpoint if it is listed, and to the whole backend."""

    listed: int | None
    backend: int


class BackendTable:
    """The backends of one Envoy."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.admin = Admin(place)
        self._file = Published(place, place.clusters)
        self._rounds: Rounds[Change] = Rounds(self._commit)

    async def put(self, change: Change) -> None:
        """Write ``change``, together with what else is waiting, and return when Envoy has it."""
        await self._rounds.put(change)

    async def routed(self, name: str) -> bool:
        """Return whether this Envoy names the backend in a route."""
        seen = await self.admin.routes()
        return any(name in named(listing.route) for listing in seen.listings.values() if listing.route)

    async def active(self, name: str, address: str) -> Active | None:
        """Return the requests under way; None where Envoy is silent."""
        try:
            hosts, total = await asyncio.gather(self.admin.hosts(), self.admin.active(name))
        except Unreachable:
            return None
        listed = [each.active for each in hosts.get(name, ()) if each.endpoint.address == address]
        return Active(listed=sum(listed) if listed else None, backend=total)

    async def _commit(self, changes: Mapping[int, Change]) -> Mapping[int, Exception]:
        wanted = {change.name: change.backend for change in changes.values()}  # of two changes to one backend, the later
        async with writing(self.place.clusters):
            stored = await self._current()
            current = {name: backend for name, backend in stored.items() if name not in wanted}
            current |= {name: backend for name, backend in wanted.items() if backend is not None}
            await self._publish(current, wanted)
        return {}

    async def _publish(self, current: Mapping[str, Backend], wanted: Mapping[str, Backend | None]) -> None:
        async def has() -> str:
            seen = await self.admin.backends(next(iter(wanted)) if len(wanted) == 1 else "")
            late = [name for name, backend in wanted.items() if seen.get(name) != backend]
            return f"it does not have {late[0]} as ordered" if late else ""

        # A new cluster counts once each of its endpoints was probed, or its probe timed out.
        probing = max((backend.health_timeout for backend in wanted.values() if backend is not None), default=0.0)
        await self._file.publish(clusters(list(current.values()), str(time.time_ns())), has, PATIENCE + probing)

    async def _current(self) -> Mapping[str, Backend]:
        stored = stored_backends(self.place)
        return await self.admin.backends() if stored is None else stored


def stored_backends(place: Place) -> Mapping[str, Backend] | None:
    """Return what the clusters file says; None where there is none that can be read."""

    class File(msgspec.Struct):
        resources: list[ClusterConfig] = []

    try:
        file = msgspec.json.decode(place.clusters.read_bytes(), type=File)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return {backend.name: backend for backend in (each.backend() for each in file.resources)}
