"""The ports `Gateway` and `Backends` over an Application Gateway whose rules are flipped: all of a service, or nothing.

One update is one PUT of the whole document, and takes minutes. Which route was ordered last, and which one the gateway was
last seen to have, is in the table of routes: the gateway has no place for a generation or a release, only for a reference.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from bleen.domain.canary import Metric
from bleen.domain.codec import Value, digest_of
from bleen.domain.comparison import Comparison
from bleen.domain.errors import BleenError, Conflict, LawBroken, NotConverged, Unreachable
from bleen.domain.fidelity import unremovable
from bleen.domain.listing import Listing, named, owners, refuse, service_key
from bleen.domain.signals import Sample
from bleen.domain.traffic import Backend, BackendSeen, EndpointSeen, GatewaySeen, Route
from bleen.providers.azure.aims import Seen, aims, confirmed, having, may_name, refuse_beyond, refuse_unknown
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.edge import Aim, Document, aimed, document_of
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.operations import Note, Operations
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import Edit, Table, TableBlob, with_backends, with_listing, without
from bleen.providers.envoy.table import Rounds


class Patience(Value, frozen=True):
    """Seconds."""

    converge: float = 10.0
    """For a change to be there, before whoever ordered it is told that it is on its way."""
    look: float = 0.5
    """For which one look at the table serves all who watch."""
    again: float = 2.0
    """Before the gateway is asked again while somebody else updates it."""
    first: float = 10.0
    """Between two looks at a gateway that changes."""
    longest: float = 900.0
    """Between two looks at one that does not."""


class Flip:
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
        self._pace = Pace(first, longest)
        self._rounds: Rounds[Listing] = Rounds(self._commit)
        self._document: Document | None = None
        self._fetches = self._believed = 0
        """How many readings were begun, and the last one of these that is not believed any more, or is the one in hand."""
        self._following: asyncio.Task[None] | None = None
        self._lately: asyncio.Future[Seen] | None = None
        self._until = 0.0
        self._trouble = ""

    # What is there

    async def look(self, *, anew: bool = False) -> Seen:
        """Return what is known, shared by all who watch; Resource Manager is asked only where it is time to, or ``anew``."""
        if anew:
            self._forget()
        if self._lately is None or (self._lately.done() and time.monotonic() >= self._until):
            self._until = time.monotonic() + self._patience.look
            self._lately = asyncio.ensure_future(self._look())
        return await asyncio.shield(self._lately)

    async def _look(self) -> Seen:
        table = (await self.blob.read()).table
        note = await self._operations.pending(self.name)
        if note is not None:
            self._follow(note)  # an earlier process began it, or nobody waits for it any more
        document = self._document
        if document is None or self._pace.due():
            document = await self._fetch()
        return Seen(table, document, busy=note is not None or self._changing or document.updating)

    @property
    def _changing(self) -> bool:
        return self._following is not None and not self._following.done()

    def _forget(self) -> None:
        """Believe nothing that was asked for before now."""
        self._document = self._lately = None
        self._believed = self._fetches

    async def _fetch(self) -> Document:
        self._fetches += 1
        mine = self._fetches
        with speaking(f"read the gateway {self.name}"):
            found = await self._azure.network.application_gateways.get(self._azure.site.group, self.name)
        document, before = document_of(found), self._document
        self._pace.looked(changed=before is None or before.etag != document.etag or document.updating)
        if mine > self._believed:  # else a later answer was here first, or something was changed meanwhile
            self._document, self._believed = document, mine
        return document

    # What is changed

    async def put(self, listing: Listing) -> None:
        """Return when the gateway has it; NotConverged where that takes longer than anybody waits: it goes on then."""
        seen = await self.look(anew=True)
        refuse(listing, seen.table.by_key(), seen.table.by_name())
        refuse_unknown(listing, seen.document)
        self._trouble = ""
        try:
            async with asyncio.timeout(self._patience.converge):
                await self._rounds.put(listing)
        except TimeoutError:
            why = self._trouble or "an update of Application Gateway takes minutes"
            next = f"it goes on; bleen status {listing.service}"
            raise NotConverged(f"{self.name} does not have the change yet", why=why, next=next) from None

    async def _commit(self, listings: Mapping[int, Listing]) -> Mapping[int, Exception]:
        """Order what has collected, and bring it about in as few updates as possible."""
        document = await self._settled()
        changes = (self.change(_ordering(each, document)) for each in listings.values())
        outcomes = await asyncio.gather(*changes, return_exceptions=True)
        refusals = {n: each for n, each in zip(listings, outcomes, strict=True) if isinstance(each, Exception)}
        services = {each.service for n, each in listings.items() if n not in refusals}
        while services and not await self._there(services):
            continue  # an update has ended, or somebody else was first: what there is now is asked anew
        return refusals

    async def _there(self, services: Collection[str]) -> bool:
        """Return whether the gateway has what was ordered last of ``services``; else begin an update, and await its end."""
        document = await self._settled()
        table = (await self.blob.read()).table
        wanted = aims(table, services, document)
        if not document.succeeded or any(document.aim(name) != aim for name, aim in wanted.items()):
            await self._update(document, wanted)
            return False
        await self.change(lambda table: confirmed(table, document))
        return True

    async def change(self, edit: Edit) -> None:
        """Write the table; what was read of it before is not shared any more."""
        await self.blob.change(edit)
        self._lately = None

    async def _settled(self) -> Document:
        """Return the document once no update is under way, whoever began it. What ours ended with is raised."""
        while True:
            note = await self._operations.pending(self.name)
            if note is not None:
                await asyncio.shield(self._follow(note))
            document = await self._fetch()
            if not document.updating:
                return document
            self._trouble = "another update of it is under way"
            await asyncio.sleep(self._patience.again)

    async def _update(self, document: Document, aims: Mapping[str, Aim]) -> None:
        """Begin an update and await its end. Where somebody else was first, or its answer was lost, nothing is known."""
        intent = f"{document.etag} {digest_of(dict(aims))}"
        try:
            note = await self._operations.begin(self.name, intent, self._begin(document, aims))
        except (Conflict, Unreachable) as error:
            self._trouble = f"{error.what}: {error.why}"
            await asyncio.sleep(self._patience.again)
            return
        finally:
            self._forget()
        if note is not None:
            await asyncio.shield(self._follow(note))

    def _begin(self, document: Document, aims: Mapping[str, Aim]) -> Callable[[Callable[[Any], None]], Awaitable[Any]]:
        body = aimed(document, aims)

        async def begin(heard: Callable[[Any], None]) -> None:
            await self._azure.network.application_gateways.begin_create_or_update(
                self._azure.site.group,
                self.name,
                body,
                headers={"If-Match": document.etag},
                polling=False,
                raw_response_hook=heard,
            )

        return begin

    def _follow(self, note: Note) -> asyncio.Task[None]:
        """Return what follows the update that is under way; it goes on when nobody awaits it."""
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._ended(note))
            self._following.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._following

    async def _ended(self, note: Note) -> None:
        try:
            await self._operations.follow(self.name, note)
        finally:
            self._forget()

    async def close(self) -> None:
        """Stop following; the update goes on."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)


def _ordering(listing: Listing, document: Document) -> Edit:
    def edit(table: Table) -> Table:
        refuse(listing, table.by_key(), table.by_name())
        return with_listing(confirmed(table, document), listing)

    return edit


class FlipGateway:
    """The port `Gateway`, as far as a rule can keep it: what it cannot is InvalidInput, and changes nothing."""

    def __init__(self, flip: Flip) -> None:
        self._flip = flip

    async def set_route(self, route: Route, generation: int) -> None:
        """Have the rules refer as ``route`` says, and return when a gateway at rest shows it."""
        refuse_beyond(route)
        await self._flip.put(Listing(route.environment, route.service, generation, route))

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Do nothing where there is no route; InvalidInput where there is one: a rule refers to something, always."""
        table = (await self._flip.blob.read()).table
        if service_key(environment, service) in table.by_key():
            raise unremovable(environment, service)

    async def observe(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        """Return what the gateway has. While an update of this service is under way it has not ``answered``."""
        unknown = GatewaySeen(gateway=self._flip.name, region=self._flip.region, answered=False)
        try:
            seen = await self._flip.look()
        except BleenError:
            return [unknown]
        has = having(seen, environment, service)
        if has is None:
            return [unknown]
        mine = [each for each in seen.table.backends if (each.environment, each.service) == (environment, service)]
        backends = tuple(_told(each) for each in mine)
        return [msgspec.structs.replace(unknown, answered=True, route=has.route, generation=has.generation, backends=backends)]

    async def hosts(self) -> Mapping[str, str]:
        """Return which service answers to which host name."""
        return owners((await self._flip.blob.read()).table.by_key())


def _told(backend: Backend) -> BackendSeen:
    """Return a backend as the fleets told it: the gateway knows the address of its load balancer, and no instance.

    So that an instance counts as healthy where its machine and Azure's health extension say so (law 2).
    """
    endpoints = tuple(EndpointSeen(endpoint=each, healthy=True, active=0) for each in backend.endpoints)
    return BackendSeen(backend.colour, backend.release, endpoints, backend.baseline)


class FlipBackends:
    """The port `Backends`. Machines are behind the load balancer of their colour from their first second: Terraform has
    their scale set enter it. What is told here is what law 2 counts."""

    def __init__(self, flip: Flip) -> None:
        self._flip = flip

    async def set_backend(self, backend: Backend) -> None:
        """Keep what a fleet says of itself; the gateway need not be told."""
        await self._flip.change(lambda table: with_backends(table, {backend.name: backend}))

    async def remove_backend(self, name: str) -> None:
        """Forget the backend; LawBroken(3) where the gateway routes to it, or might."""
        if may_name(await self._flip.look(anew=True), name):
            raise LawBroken(3, f"gateway {self._flip.name} still has a route to {name}, or is on its way to one")

        def edit(table: Table) -> Table:
            if any(name in named(each.route) for each in table.listings if each.route):
                raise LawBroken(3, f"a route to {name} is written already")
            return without(table, name)

        await self._flip.change(edit)

    async def routed(self, name: str) -> bool:
        """Return whether the gateway names the backend in a route, or might: read anew; True where it is silent."""
        try:
            return may_name(await self._flip.look(anew=True), name)
        except BleenError:
            return True

    async def active(self, name: str, address: str) -> int:
        """Return 1: nobody counts the requests under way to an instance, so that who leaves has its whole time to drain."""
        return 1


class NothingCounted:
    """The port `Metrics` behind a gateway that counts no requests by release."""

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Raise Unreachable: there are no signals, and never will be."""
        why = "Application Gateway counts no requests by release"
        raise Unreachable("nobody counts the requests of a release", why=why, next="gateway_mode envoy has what counts them")
