"""The ports `Gateway` and `Backends` over an Application Gateway whose rules are flipped: all of a service, or nothing.

One update is one PUT of the whole document, and takes minutes. Which route was ordered last, and which one the gateway was
last seen to have, is in the table of routes: the gateway has no place for a generation or a release, only for a reference.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bleen.domain.canary import Metric
from bleen.domain.codec import Value, digest_of
from bleen.domain.comparison import Comparison
from bleen.domain.errors import BleenError, Conflict, InvalidInput, LawBroken, NotConverged, NotFound, Unreachable
from bleen.domain.listing import Listing, named, owners, refuse, service_key
from bleen.domain.signals import Sample
from bleen.domain.traffic import WHOLE, Backend, BackendSeen, Colour, EndpointSeen, GatewaySeen, Route, Split
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


@dataclass(frozen=True)
class Seen:
    """What was ordered, and what there is. ``busy``: an update is under way, so that the references are yet to come."""

    table: Table
    document: Document
    busy: bool


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
        """Believe nothing that was read before now."""
        self._document = self._lately = None

    async def _fetch(self) -> Document:
        with speaking(f"read the gateway {self.name}"):
            found = await self._azure.network.application_gateways.get(self._azure.site.group, self.name)
        document, before = document_of(found), self._document
        self._pace.looked(changed=before is None or before.etag != document.etag or document.updating)
        self._document = document
        return document

    # What is changed

    async def put(self, listing: Listing) -> None:
        """Return when the gateway has it; NotConverged where that takes longer than anybody waits: it goes on then."""
        seen = await self.look()
        refuse(listing, seen.table.by_key(), seen.table.by_name())
        _refuse_unknown(listing, seen.document)
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
            pass
        return refusals

    async def _there(self, services: Collection[str]) -> bool:
        """Return whether the gateway has what was ordered last of ``services``; else begin an update, and await its end."""
        document = await self._settled()
        table = (await self.blob.read()).table
        aims = _aims(table, services, document)
        if not document.succeeded or any(document.aim(name) != aim for name, aim in aims.items()):
            await self._update(document, aims)
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


def confirmed(table: Table, document: Document) -> Table:
    """Return the table with what a gateway at rest is seen to have of what was ordered."""
    if not document.succeeded:
        return table
    there = {each.key: each for each in table.listings if each.route and document.aim(each.service) == aim_of(each.route)}
    listings = table.before() | there
    return msgspec.structs.replace(table, confirmed=tuple(listings[key] for key in sorted(listings)))


def aim_of(route: Route) -> Aim:
    """Return what a route asks of the rules. Without a preview, the internal listener has what serves."""
    serving = Colour.BLUE if route.split.blue == WHOLE else Colour.GREEN
    return Aim(serving, route.preview or serving)


def _aims(table: Table, services: Collection[str], document: Document) -> Mapping[str, Aim]:
    """Return what an update has to ask for: what was ordered of ``services``, and of others nothing new.

    A document whose update failed shows what it was to become: others get back what they had.
    """
    wanted = {each.service: each.route for each in table.listings if each.service in services}
    others = () if document.succeeded else table.confirmed
    had = {each.service: each.route for each in others if each.service in document.services}
    return {name: aim_of(route) for name, route in (had | wanted).items() if route is not None}


def having(seen: Seen, environment: str, service: str) -> Listing | None:
    """Return what the gateway has of a service; None where nobody can know. First match wins."""
    key = service_key(environment, service)
    nothing = Listing(environment, service, 0)
    wanted, before, at = seen.table.by_key().get(key), seen.table.before().get(key), seen.document.aim(service)
    if wanted is None or wanted.route is None:
        return nothing  # it was never set
    same = before is not None and before.route is not None and aim_of(before.route) == aim_of(wanted.route)
    if seen.busy:  # an update that does not touch the service changes nothing of it
        return wanted if same and at == aim_of(wanted.route) else None
    if not seen.document.succeeded:  # the document shows what was to be, and traffic goes on as before
        return wanted if same else before or nothing
    if at == aim_of(wanted.route):
        return wanted
    if before is None or before.route is None:
        return nothing
    if at == aim_of(before.route):
        return before
    return None if at is None else Listing(environment, service, before.generation, _as_found(before.route, at))


def _as_found(route: Route, at: Aim) -> Route:
    """Return the route that somebody made of ``route`` by hand."""
    return msgspec.structs.replace(route, split=Split.of(at.serving), preview=at.preview)


def _refuse_unknown(listing: Listing, document: Document) -> None:
    """Refuse a service that the gateway has no rules for, and names that its listener does not answer to."""
    rules, route = document.services.get(listing.service), listing.route
    if rules is None:
        what = f"the gateway has no rules {listing.service} and {listing.service}-preview with a pool for each colour"
        raise NotFound(what, next="the module gateway-appgw-flip makes them for a service that is there at its first apply")
    if route is None or not rules.hosts:
        return
    for host in route.hosts:
        if host.lower() not in rules.hosts:
            why = f"its listener is for {', '.join(rules.hosts)}, and is Terraform's"
            next = f"write another name into hosts: in the file of {listing.service}, or host in Terraform"
            raise InvalidInput(f"the gateway does not answer to {host}", why=why, next=next)


_ALL_OR_NOTHING = "Application Gateway sends all of a service to one colour: 0 or 100 %"
_NO_ROUTING = "Application Gateway sends a request on by its host alone"
_INSTEAD = "strategy: {type: blue-green}, or gateway_mode envoy"


def refuse_beyond(route: Route) -> None:
    """Raise InvalidInput where ``route`` asks for what a rule cannot do."""
    if WHOLE not in (route.split.blue, route.split.green):
        raise InvalidInput(f"a split of {route.split} cannot be given", why=_ALL_OR_NOTHING, next=_INSTEAD)
    asked = {
        "cohorts cannot be told apart": route.cohorts,
        "requests cannot be copied": route.mirror,
        "users cannot be kept with a release": route.sticky,
        "a baseline fleet cannot be given a part": route.baseline,
    }
    for what, there in asked.items():
        if there:
            raise InvalidInput(what, why=_NO_ROUTING, next=_INSTEAD)


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
            why = "a rule of Application Gateway refers to a pool, always"
            next = f"take {service} out of services in Terraform, when nothing of it runs any more"
            raise InvalidInput(f"the gateway cannot answer 404 for {service}", why=why, next=next)

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
        if _may_name(await self._flip.look(anew=True), name):
            raise LawBroken(3, f"gateway {self._flip.name} still has a route to {name}, or is on its way to one")

        def edit(table: Table) -> Table:
            if any(name in named(each.route) for each in table.listings if each.route):
                raise LawBroken(3, f"a route to {name} is written already")
            return without(table, name)

        await self._flip.change(edit)

    async def routed(self, name: str) -> bool:
        """Return whether the gateway names the backend in a route, or might: read anew; True where it is silent."""
        try:
            return _may_name(await self._flip.look(anew=True), name)
        except BleenError:
            return True

    async def active(self, name: str, address: str) -> int:
        """Return 1: nobody counts the requests under way to an instance, so that who leaves has its whole time to drain."""
        return 1


def _may_name(seen: Seen, name: str) -> bool:
    for wanted in seen.table.listings:
        before = seen.table.before().get(wanted.key)
        possible = [wanted] if having(seen, wanted.environment, wanted.service) == wanted else [wanted, before]
        if any(name in named(each.route) for each in possible if each and each.route):
            return True
    return False


class NothingCounted:
    """The port `Metrics` behind a gateway that counts no requests by release."""

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Raise Unreachable: there are no signals, and never will be."""
        why = "Application Gateway counts no requests by release"
        raise Unreachable("nobody counts the requests of a release", why=why, next="gateway_mode envoy has what counts them")
