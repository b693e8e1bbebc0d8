"""The ports `Gateway` and `Backends` over an Application Gateway whose pools have machines of both colours.

A share is a share of machines. The controller alone decides who is in a pool: it adds the network interface of a machine, and
takes it out again, by one operation each. Which route was ordered last, and which one the pool was last seen to have, is in the
table of routes; the fact is what the interfaces say, and a gateway at rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bleen.domain.errors import Conflict, NotConverged, Unreachable
from bleen.domain.listing import Listing, refuse, service_key
from bleen.domain.traffic import Backend, Route
from bleen.providers.azure.aims import refuse_routing
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.operations import Note, Operations
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.pools import Estate, Interface, Pool, edge_of, interface_of, placed
from bleen.providers.azure.shares import Moves, Seen, confirmed, refuse_share, refuse_unknown
from bleen.providers.azure.sight import EdgeBackends, EdgeGateway, Patience, Reading, Shared
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import Edit, Table, TableBlob, with_backends, with_listing

_TOGETHER = 10
"""So many interfaces are changed at once, where Azure lets us: Terraform's provider does the same to one gateway."""


class Mixed:
    """The Application Gateway of one site."""

    def __init__(
        self, azure: Azure, patience: Patience | None = None, *, lease: str = "", check: Callable[[], None] = lambda: None
    ) -> None:
        """``lease`` is the id of the one under which routes are written; ``check`` raises where nothing may be changed."""
        self.name = azure.site.edge
        self.region = azure.site.region
        self.blob = TableBlob(azure.container(Container.ROUTES), lease)
        self._azure = azure
        self._patience = patience or Patience()
        first, longest = self._patience.first, self._patience.longest
        self._operations = Operations(azure, azure.container(Container.OPERATIONS), first / 10, first * 3, check)
        self._estate = Reading(self._read, Pace(first, longest), _differs)
        self._shared = Shared(self._look, self._patience.look)
        self._keepers: dict[str, asyncio.Task[int]] = {}
        self._paces: dict[str, Pace] = {}
        """When a pool that is not as ordered is seen to again, where nobody orders anything."""
        self._together = _TOGETHER
        self._listed: Mapping[str, Interface] | None = None
        """The interfaces, where who waited for the end of changes has just listed them: the next reading need not."""
        self._trouble: dict[str, str] = {}

    # What is there

    async def look(self, *, anew: bool = False) -> Seen:
        """Return what is known, shared by all who watch; Resource Manager is asked only where it is time to, or ``anew``."""
        if anew:
            self.forget()
        return await self._shared.look()

    async def _look(self) -> Seen:
        """While machines are being moved, nobody else asks how they are: who moves them does, and tells when they are there."""
        busy = frozenset(service for service in self._keepers if self._keeps(service))
        seen = await self._seen(busy)
        self._tend(seen)
        return seen

    async def _seen(self, busy: frozenset[str] = frozenset()) -> Seen:
        """Return what there is: the table as it is now, and the estate as it is since it was forgotten last."""
        table = (await self.blob.read()).table
        return Seen(self._azure.site, table, await self._estate.lately(quiet=bool(busy)), busy)

    def forget(self) -> None:
        """Believe nothing that was asked for before now."""
        self._listed = None
        self._estate.forget()
        self._shared.forget()

    async def _read(self) -> Estate:
        """Read the gateway after the interfaces: what these say is not newer than its rest."""
        listed, self._listed = self._listed, None
        interfaces = listed or await self._interfaces()
        with speaking(f"read the gateway {self.name}"):
            edge = edge_of(await self._azure.network.application_gateways.get(self._azure.site.group, self.name))
        return Estate(edge, tuple(interfaces.values()))

    async def _interfaces(self) -> Mapping[str, Interface]:
        """Return those of all machines by name; one call, or one for each page."""
        with speaking("read the network interfaces"):
            listed = self._azure.network.network_interfaces.list(self._azure.site.group)
            found = [each async for one in listed if (each := interface_of(one)) is not None]
        return {each.name: each for each in found}

    # What is changed

    async def put(self, listing: Listing) -> None:
        """Return when the pool has it; NotConverged where that takes longer than anybody waits: it goes on then."""
        seen = await self.look()
        if not seen.agrees(listing):  # what asks for no machine to move asks nobody
            seen = await self.look(anew=True)
        refuse(listing, seen.table.by_key(), seen.table.by_name())
        refuse_unknown(listing, seen)
        if listing.route is not None:
            refuse_share(listing.route, seen)
        version = await self.change(_ordering(listing, seen))
        if not seen.agrees(listing):
            await self.follow(listing.service, version)

    async def change(self, edit: Edit) -> int:
        """Write the table and return its version; what was read of it before is not shared any more."""
        version = await self.blob.change(edit)
        self._shared.forget()
        return version

    async def follow(self, service: str, version: int) -> None:
        """Return when the pool of ``service`` is as that version of the table, or a newer one, orders; see `put`."""
        self._trouble.pop(service, None)
        try:
            async with asyncio.timeout(self._patience.converge):
                while await asyncio.shield(self._keep(service)) < version:
                    continue
        except TimeoutError:
            why = self._trouble.get(service) or "each machine that enters or leaves is an update of Application Gateway"
            next = f"it goes on; bleen status {service}"
            raise NotConverged(f"{self.name} does not have the change yet", why=why, next=next) from None

    def _tend(self, seen: Seen) -> None:
        """See to pools that are not as ordered though nobody waits: after a crash, a failure, a change by hand."""
        for listing in seen.table.listings:
            service, pace = listing.service, self._paces.setdefault(listing.service, self._pace())
            if seen.pool(service) and seen.moves(listing) and pace.due() and not self._keeps(service):
                pace.looked(changed=False)
                self.forget()  # nobody is moved by what was read some time ago
                self._keep(service)

    def _pace(self) -> Pace:
        return Pace(self._patience.first, self._patience.longest)

    def _keeps(self, service: str) -> bool:
        return service in self._keepers and not self._keepers[service].done()

    def _keep(self, service: str) -> asyncio.Task[int]:
        """Return what brings the pool of a service about; it goes on when nobody awaits it."""
        if not self._keeps(service):
            self._keepers[service] = asyncio.create_task(self._converge(service))
            self._keepers[service].add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._keepers[service]

    async def _converge(self, service: str) -> int:
        """Return the version of the table that the pool was seen to follow. What was ordered meanwhile is heeded."""
        pause = self._patience.again
        while True:
            seen = await self._seen()
            listing = seen.table.by_key().get(service_key(seen.site.environment, service))
            pool = seen.pool(service)
            if listing is None or pool is None:
                return seen.table.version
            moves = seen.moves(listing)
            if why := self._obstacle(seen, service, moves):
                self._trouble[service] = why
                await asyncio.sleep(pause)
                self.forget()
                pause = min(pause * 1.5, self._patience.first * 3)
            elif moves:
                await self._carry_out(service, pool, moves)
                pause = self._patience.again
            else:
                self._paces.pop(service, None)
                if seen.lacks(listing):  # what was read may be from before its machines were made
                    self._estate.hurry()
                await self.change(_confirming(seen))
                return seen.table.version

    def _obstacle(self, seen: Seen, service: str, moves: Moves) -> str:
        """Return what is waited for. Nobody leaves, and nothing is done, before the gateway has those who entered."""
        if seen.moving(service):
            return "an interface of a machine is being changed"
        if moves.enter or seen.estate.edge.succeeded:
            return ""
        if seen.estate.edge.updating:
            return "another update of it is under way"
        return f"its last update ended as {seen.estate.edge.state}: az network application-gateway show --name {self.name}"

    async def _carry_out(self, service: str, pool: Pool, moves: Moves) -> None:
        """Change as many interfaces at once as Azure lets us, and return when each of these changes has ended."""
        inside, some = bool(moves.enter), (moves.enter or moves.leave)[: self._together]
        begun = await asyncio.gather(*(self._begin(each, pool, inside) for each in some), return_exceptions=True)
        passing = [each for each in begun if isinstance(each, Conflict | Unreachable)]
        for failure in begun:
            if isinstance(failure, BaseException) and failure not in passing:
                self.forget()
                raise failure
        self._together = max(1, self._together // 2) if passing else min(_TOGETHER, self._together * 2)
        notes = {each.name: note for each, note in zip(some, begun, strict=True) if isinstance(note, Note)}
        if passing:
            self._trouble[service] = f"{passing[0].what}: {passing[0].why}"
        if passing and not notes:
            await asyncio.sleep(self._patience.again)
        listed = None
        try:
            listed = await self._ended(some, notes)
        finally:
            self.forget()
            self._listed = listed

    async def _begin(self, interface: Interface, pool: Pool, inside: bool) -> Note | None:
        intent = f"{interface.etag} {'enter' if inside else 'leave'} {pool.id}"
        return await self._operations.begin(interface.name, intent, self._change(interface, pool, inside))

    def _change(self, interface: Interface, pool: Pool, inside: bool) -> Callable[[Callable[[Any], None]], Awaitable[Any]]:
        body = placed(interface, pool, inside=inside)

        async def begin(heard: Callable[[Any], None]) -> None:
            await self._azure.network.network_interfaces.begin_create_or_update(
                self._azure.site.group,
                interface.name,
                body,
                headers={"If-Match": interface.etag},
                polling=False,
                raw_response_hook=heard,
            )

        return begin

    async def _ended(self, before: Sequence[Interface], notes: Mapping[str, Note]) -> Mapping[str, Interface] | None:
        """Return when the operations of ``notes`` have ended well: one listing tells of all, and URLs what it leaves open.

        The last listing is returned, where it is not older than the end of any.
        """
        etags, left = {each.name: each.etag for each in before}, dict(notes)
        wait, pause = max((note.wait for note in notes.values()), default=0.0), self._patience.first
        there, told = None, True
        while left:
            await asyncio.sleep(max(wait, pause))
            pause = min(pause * 1.5, self._patience.first * 3)
            there = await self._interfaces()
            for name, note in list(left.items()):
                now = there.get(name)
                if now is not None and now.updating:
                    continue
                if now is None or (now.etag != etags[name] and not now.failed):
                    await self._operations.forget(name)
                elif await self._operations.ended(name, note):
                    told = False
                else:
                    continue
                del left[name]
        return there if told else None

    async def close(self) -> None:
        """Stop following; what was begun goes on."""
        await self._shared.close()
        await self._estate.close()
        for task in self._keepers.values():
            task.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)


def _differs(before: Estate | None, found: Estate) -> bool:
    """Machines that are in no pool come and go as they like."""
    if before is None or found.edge.updating or any(each.updating for each in found.members):
        return True
    return (before.edge.state, before.members) != (found.edge.state, found.members)


def _ordering(listing: Listing, seen: Seen) -> Edit:
    def edit(table: Table) -> Table:
        refuse(listing, table.by_key(), table.by_name())
        return with_listing(_confirming(seen)(table), listing)

    return edit


def _confirming(seen: Seen) -> Edit:
    return lambda table: confirmed(Seen(seen.site, table, seen.estate))


class MixedGateway(EdgeGateway[Mixed]):
    """The port `Gateway`, as far as a pool can keep it: what it cannot is InvalidInput, and changes nothing."""

    async def set_route(self, route: Route, generation: int) -> None:
        """Have the pool filled as ``route`` says, and return when a gateway at rest has it so."""
        refuse_routing(route)
        await self._driver.put(Listing(route.environment, route.service, generation, route))

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Have everybody leave the pool: its rule stays, and answers 502."""
        table = (await self._driver.blob.read()).table
        if service_key(environment, service) in table.by_key():
            await self._driver.put(Listing(environment, service, generation))


class MixedBackends(EdgeBackends[Mixed]):
    """The port `Backends`. Who comes and goes in a fleet enters and leaves the pool, as far as the route gives it weight."""

    async def set_backend(self, backend: Backend) -> None:
        """Keep what a fleet says of itself, and return when the pool has who is to be there, and nobody else of it."""
        mixed = self._driver
        before = (await mixed.blob.read()).table.by_name().get(backend.name)
        version = await mixed.change(lambda table: with_backends(table, {backend.name: backend}))
        listing = (await mixed.blob.read()).table.by_key().get(service_key(backend.environment, backend.service))
        if listing is None:
            return
        # Some of several are about to be deleted: whether they are in the pool is asked, and not remembered.
        fewer = before is not None and backend.endpoints and set(before.endpoints) - set(backend.endpoints)
        if (await mixed.look(anew=bool(fewer))).moved(listing, backend):
            mixed.forget()
            await mixed.follow(backend.service, version)
