"""The ports `Gateway` and `Backends` over an Application Gateway whose rules are flipped: all of a service, or nothing.

One update is one PUT of the whole document, and takes minutes. Which route was ordered last, and which one the gateway was
last seen to have, is in the table of routes: the gateway has no place for a generation or a release, only for a reference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from bleen.domain.codec import digest_of
from bleen.domain.errors import Conflict, NotConverged, Unreachable
from bleen.domain.fidelity import unremovable
from bleen.domain.listing import Listing, refuse, service_key
from bleen.domain.traffic import Backend, Route
from bleen.providers.azure.aims import Seen, aims, confirmed, refuse_beyond, refuse_unknown
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.edge import Aim, Document, aimed, document_of
from bleen.providers.azure.errors import speaking
from bleen.providers.azure.operations import Note, Operations
from bleen.providers.azure.pace import Pace
from bleen.providers.azure.sight import EdgeBackends, EdgeGateway, Patience, Reading, Shared
from bleen.providers.azure.site import Container
from bleen.providers.azure.table import Edit, Table, TableBlob, with_backends, with_listing
from bleen.providers.envoy.table import Rounds


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
        self._rounds: Rounds[Listing] = Rounds(self._commit)
        self._document = Reading(self._fetch, Pace(first, longest), _differs)
        self._shared = Shared(self._look, self._patience.look)
        self._following: asyncio.Task[None] | None = None
        self._trouble = ""

    # What is there

    async def look(self, *, anew: bool = False) -> Seen:
        """Return what is known, shared by all who watch; Resource Manager is asked only where it is time to, or ``anew``."""
        if anew:
            self._forget()
        return await self._shared.look()

    async def _look(self) -> Seen:
        table = (await self.blob.read()).table
        note = await self._operations.pending(self.name)
        if note is not None:
            self._follow(note)  # an earlier process began it, or nobody waits for it any more
        document = await self._document.lately()
        return Seen(table, document, busy=note is not None or self._changing or document.updating)

    @property
    def _changing(self) -> bool:
        return self._following is not None and not self._following.done()

    def _forget(self) -> None:
        """Believe nothing that was asked for before now."""
        self._document.forget()
        self._shared.forget()

    async def _fetch(self) -> Document:
        with speaking(f"read the gateway {self.name}"):
            return document_of(await self._azure.network.application_gateways.get(self._azure.site.group, self.name))

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

    async def change(self, edit: Edit) -> int:
        """Write the table and return its version; what was read of it before is not shared any more."""
        version = await self.blob.change(edit)
        self._shared.forget()
        return version

    async def _settled(self) -> Document:
        """Return the document once no update is under way, whoever began it. What ours ended with is raised."""
        while True:
            note = await self._operations.pending(self.name)
            if note is not None:
                await asyncio.shield(self._follow(note))
            document = await self._document.anew()
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
        await self._shared.close()
        await self._document.close()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)


def _differs(before: Document | None, found: Document) -> bool:
    return before is None or before.etag != found.etag or found.updating


def _ordering(listing: Listing, document: Document) -> Edit:
    def edit(table: Table) -> Table:
        refuse(listing, table.by_key(), table.by_name())
        return with_listing(confirmed(table, document), listing)

    return edit


class FlipGateway(EdgeGateway[Flip]):
    """The port `Gateway`, as far as a rule can keep it: what it cannot is InvalidInput, and changes nothing."""

    async def set_route(self, route: Route, generation: int) -> None:
        """Have the rules refer as ``route`` says, and return when a gateway at rest shows it."""
        refuse_beyond(route)
        await self._driver.put(Listing(route.environment, route.service, generation, route))

    async def remove_route(self, environment: str, service: str, generation: int) -> None:
        """Do nothing where there is no route; InvalidInput where there is one: a rule refers to something, always."""
        table = (await self._driver.blob.read()).table
        if service_key(environment, service) in table.by_key():
            raise unremovable(environment, service)


class FlipBackends(EdgeBackends[Flip]):
    """The port `Backends`. Machines are behind the load balancer of their colour from their first second: Terraform has
    their scale set enter it. What is told here is what law 2 counts."""

    async def set_backend(self, backend: Backend) -> None:
        """Keep what a fleet says of itself; the gateway need not be told."""
        await self._driver.change(lambda table: with_backends(table, {backend.name: backend}))
