"""What routes ask of the rules of an Application Gateway, and what the rules say of routes. Pure: `flip.py` acts on it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.listing import Listing, service_key
from bleen.domain.traffic import WHOLE, Colour, Route, Split
from bleen.providers.azure.edge import Aim, Document
from bleen.providers.azure.table import Table


@dataclass(frozen=True)
class Seen:
    """What was ordered, and what there is. ``busy``: an update is under way, so that the references are yet to come."""

    table: Table
    document: Document
    busy: bool

    def having(self, environment: str, service: str) -> Listing | None:
        """Return what the gateway has of a service; None where nobody can know."""
        return having(self, environment, service)

    def uses(self, name: str) -> bool:
        """Return False: a rule refers to a colour, and who is there is named by a route."""
        return False


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


def aims(table: Table, services: Collection[str], document: Document) -> Mapping[str, Aim]:
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


def refuse_unknown(listing: Listing, document: Document) -> None:
    """Refuse a service that the gateway has no rules for, and names that its listener does not answer to."""
    rules = document.services.get(listing.service)
    if rules is None:
        what = f"the gateway has no rules {listing.service} and {listing.service}-preview with a pool for each colour"
        raise NotFound(what, next="the module gateway-appgw-flip makes them for a service that is there at its first apply")
    refuse_names(listing, rules.hosts)


def refuse_names(listing: Listing, hosts: Collection[str]) -> None:
    """Refuse a route with names that the listener of its service does not answer to; one without ``hosts`` answers to all."""
    if listing.route is None or not hosts:
        return
    for host in listing.route.hosts:
        if host.lower() not in hosts:
            why = f"its listener is for {', '.join(hosts)}, and is Terraform's"
            next = f"write another name into hosts: in the file of {listing.service}, or host in Terraform"
            raise InvalidInput(f"the gateway does not answer to {host}", why=why, next=next)


_ALL_OR_NOTHING = "Application Gateway sends all of a service to one colour: 0 or 100 %"
_NO_ROUTING = "Application Gateway sends a request on by its host alone"
_INSTEAD = "strategy: {type: blue-green}, or gateway_mode envoy"


def refuse_beyond(route: Route) -> None:
    """Raise InvalidInput where ``route`` asks for what a rule cannot do."""
    if WHOLE not in (route.split.blue, route.split.green):
        raise InvalidInput(f"a split of {route.split} cannot be given", why=_ALL_OR_NOTHING, next=_INSTEAD)
    refuse_routing(route)


def refuse_routing(route: Route) -> None:
    """Raise InvalidInput where ``route`` tells requests apart by more than their host."""
    asked = {
        "cohorts cannot be told apart": route.cohorts,
        "requests cannot be copied": route.mirror,
        "users cannot be kept with a release": route.sticky,
        "a baseline fleet cannot be given a part": route.baseline,
    }
    for what, there in asked.items():
        if there:
            raise InvalidInput(what, why=_NO_ROUTING, next=_INSTEAD)
