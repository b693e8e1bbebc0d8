"""Which machines are to be in the pool of an Application Gateway, in which order they enter and leave it, and what its members
say of routes. Pure: `mixed.py` acts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.fleet import Slot
from bleen.domain.listing import Listing, backend_of, service_key
from bleen.domain.mixing import Mix, exact, nearest
from bleen.domain.traffic import WHOLE, Backend, Colour, Route
from bleen.providers.azure.aims import refuse_names
from bleen.providers.azure.pools import Estate, Interface, Pool
from bleen.providers.azure.site import Site
from bleen.providers.azure.table import Table


@dataclass(frozen=True)
class Moves:
    """What is to be done next: some enter, or else some leave. Never both at once."""

    enter: tuple[Interface, ...] = ()
    leave: tuple[Interface, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.enter or self.leave)


@dataclass(frozen=True)
class Seen:
    """What was ordered, and what there is."""

    site: Site
    table: Table
    estate: Estate
    busy: frozenset[str] = frozenset()
    """Services whose machines are being moved just now: the estate may be from before."""

    def having(self, environment: str, service: str) -> Listing | None:
        """Return what the gateway has of a service; None where nobody can know. First match wins."""
        key = service_key(environment, service)
        wanted, before = self.table.by_key().get(key), self.table.before().get(key)
        if wanted is None:
            return Listing(environment, service, 0)  # it was never set
        same = before is not None and alike(before, wanted)
        if self.moving(service) or not (same or self.estate.edge.succeeded):
            return None
        if self.fits(wanted):
            return wanted
        if before is None and not self.members(service):
            return Listing(environment, service, 0)
        return before if before is not None and self.fits(before) else None

    def uses(self, name: str) -> bool:
        """Return whether a machine of a backend is in a pool, or may be: its interface is being changed, or that failed.

        A fleet that ends tells of no endpoint any more: its machines are those of its scale set that no other backend has.
        """
        backend = self.table.by_name().get(name)
        if backend is None:
            return False
        others = {e.address for each in self.table.backends if each != backend for e in each.endpoints}
        place, members = self.place(backend), self.members(backend.service)
        theirs = [each for each in self.estate.interfaces if each.place == place and each.address not in others]
        return backend.service in self.busy or any(each in members or each.updating or each.failed for each in theirs)

    def place(self, backend: Backend) -> str:
        """Return the name of the scale set whose machines a backend is."""
        slot = Slot(backend.environment, self.site.region, backend.service, backend.colour, baseline=backend.baseline)
        return self.site.scale_set(slot)

    def pool(self, service: str) -> Pool | None:
        """Return the pool of a service, if it is there."""
        return self.estate.edge.pools.get(service)

    def members(self, service: str) -> Sequence[Interface]:
        """Return who is in the pool of a service, whoever put it there."""
        pool = self.pool(service)
        return [each for each in self.estate.interfaces if pool and each.within(pool)]

    def ours(self, service: str) -> Sequence[Interface]:
        """Return the members, and the interfaces of the service's machines outside."""
        site = self.site
        places = [site.scale_set(Slot(site.environment, site.region, service, colour)) for colour in Colour]
        members = self.members(service)
        return [each for each in self.estate.interfaces if each in members or each.place in places]

    def moving(self, service: str) -> bool:
        """Return whether an operation on an interface of the service's is under way, or may be."""
        return service in self.busy or any(each.updating for each in self.ours(service))

    def machines(self, backend: Backend) -> Mapping[str, Interface]:
        """Return the interfaces of a backend's endpoints, by address: those that are of a machine of its own scale set.

        Azure gives an address to another machine soon after its own has gone.
        """
        place, found = self.place(backend), self.estate.by_address
        there = {each.address: found[each.address] for each in backend.endpoints if each.address in found}
        return {address: each for address, each in there.items() if each.place == place}

    def there(self, route: Route) -> Mapping[Colour, Sequence[Interface]]:
        """Return the machines of each colour that may have requests by ``route``."""
        backends = self.table.by_name()
        named = {c: backends.get(backend_of(route, c)) for c in Colour if route.release(c) is not None}
        return {c: list(self.machines(backend).values()) if (backend := named.get(c)) else [] for c in Colour}

    def wanted(self, route: Route | None, service: str) -> Sequence[Interface]:
        """Return who is to be in the pool. Those that are in it stay, as far as they can: each change is an update."""
        if route is None:
            return []
        there, members = self.there(route), self.members(service)
        mix = nearest(route.split, _counted(there))
        ranked = {c: sorted(there[c], key=lambda each: (each not in members, each.failed, each.name)) for c in Colour}
        return [each for colour in Colour for each in ranked[colour][: mix.count(colour)]]

    def moves(self, listing: Listing) -> Moves:
        """Return what is to be done next so that the pool has what ``listing`` orders.

        Who enters is in before anybody leaves, and nobody leaves a pool that would be empty while its service has a route.
        An interface whose last change failed is changed again: what it shows may not be so.
        """
        members, wanted = self.members(listing.service), self.wanted(listing.route, listing.service)
        enter = tuple(each for each in wanted if each not in members or each.failed)
        if enter:
            return Moves(enter=enter)
        if listing.route is not None and not wanted:
            return Moves()
        failed = [each for each in self.ours(listing.service) if each.failed and each not in members]
        return Moves(leave=tuple(each for each in [*members, *failed] if each not in wanted))

    def fits(self, listing: Listing) -> bool:
        """Return whether the pool has exactly who is to be in it by ``listing``, and each colour with weight somebody.

        Where machines are missing that the share would take, that is who comes nearest to it.
        """
        members, wanted = self.members(listing.service), self.wanted(listing.route, listing.service)
        if self.moves(listing) or len(members) != len(wanted):
            return False
        if listing.route is None or not members:
            return True
        there = self.there(listing.route)
        return all(there[colour] for colour in Colour if listing.route.split.weight(colour))

    def agrees(self, listing: Listing) -> bool:
        """Return whether a new listing asks for what there is, as the one in force does."""
        before = self.table.before().get(listing.key)
        same = before is not None and alike(before, listing)
        return same and self.fits(listing) and not self.moving(listing.service)

    def moved(self, listing: Listing, backend: Backend) -> bool:
        """Return whether anybody moves or is to, or a machine of ``backend`` with weight is not known yet."""
        weight = listing.route.split.weight(backend.colour) if listing.route else 0
        return bool(self.moves(listing)) or self.moving(listing.service) or (weight > 0 and self._partly(backend))

    def lacks(self, listing: Listing) -> bool:
        """Return whether a machine with weight is not known yet, or not any more."""
        route, backends = listing.route, self.table.by_name()
        named = [backends.get(backend_of(route, c)) for c in Colour if route.split.weight(c)] if route else []
        return any(backend is not None and self._partly(backend) for backend in named)

    def _partly(self, backend: Backend) -> bool:
        return len(self.machines(backend)) < len(backend.endpoints)


def alike(one: Listing, other: Listing) -> bool:
    """Return whether two listings ask for the same of a pool: whoever has no weight is in none."""
    return _asked(one.route) == _asked(other.route)


def _asked(route: Route | None) -> object:
    return route and [(route.split.weight(each), route.release(each)) for each in Colour if route.split.weight(each)]


def confirmed(seen: Seen) -> Table:
    """Return the table with what a gateway at rest is seen to have of what was ordered."""
    there = {each.key: each for each in seen.table.listings if seen.having(each.environment, each.service) == each}
    listings = seen.table.before() | there
    return msgspec.structs.replace(seen.table, confirmed=tuple(listings[key] for key in sorted(listings)))


_INSTEAD = "a weight that the machines can give, or gateway_mode envoy"


def refuse_unknown(listing: Listing, seen: Seen) -> None:
    """Refuse a service that has no pool, and names that its listener does not answer to."""
    pool = seen.pool(listing.service)
    if pool is None:
        what = f"the gateway has no rule {listing.service} with a pool of that name"
        raise NotFound(what, next="the module gateway-appgw-mixed makes them for each of its services: terraform apply")
    refuse_names(listing, pool.hosts)


def refuse_share(route: Route, seen: Seen) -> None:
    """Raise InvalidInput where the machines that there are cannot give the weights of ``route``."""
    there = _counted(seen.there(route))
    empty = [f"r{route.release(colour)}" for colour in Colour if route.split.weight(colour) and not there.count(colour)]
    if WHOLE in (route.split.blue, route.split.green):
        if empty and seen.members(route.service):
            why = f"no machine of {empty[0]} can enter it"
            raise InvalidInput(f"the pool of {route.service} would be empty", why=why, next=f"bleen instances {route.service}")
        return
    if exact(route.split, there) is None:
        why = f"a share is a share of machines, and there are {there.blue} of blue and {there.green} of green"
        raise InvalidInput(f"a split of {route.split} cannot be given", why=why, next=_INSTEAD)


def _counted(there: Mapping[Colour, Sequence[Interface]]) -> Mix:
    return Mix(len(there[Colour.BLUE]), len(there[Colour.GREEN]))
