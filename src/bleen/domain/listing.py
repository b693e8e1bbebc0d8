"""What a gateway holds of one service, and what speaks against a change to it."""

import re
from collections.abc import Collection, Mapping, Sequence

from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput, NotFound, StaleGeneration
from bleen.domain.traffic import Colour, Route, backend_name

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)


class Listing(Value, frozen=True):
    """The route of one service at a gateway, or None after it was removed, under a generation.

    A removed service leaves its generation behind, so that a route older than the removal stays refused.
    """

    environment: str
    service: str
    generation: int
    route: Route | None = None

    @property
    def key(self) -> str:
        return service_key(self.environment, self.service)


def service_key(environment: str, service: str) -> str:
    """Return ``dev/hello``."""
    return f"{environment}/{service}"


def named(route: Route) -> Sequence[str]:
    """Return the names of all backends that ``route`` can reach, if only by a header."""
    return [*(backend_of(route, colour) for colour in Colour if route.release(colour) is not None), *_apart(route)]


def reached(route: Route) -> Sequence[str]:
    """Return the names of the backends that ``route`` sends requests to: by weight, as a cohort or as copies."""
    directed = route.preview if route.cohorts or route.mirror else None
    filled = [colour for colour in Colour if route.release(colour) is not None]
    weighty = [backend_of(route, colour) for colour in filled if route.carries(colour) or colour is directed]
    return [*weighty, *_apart(route)]


def _apart(route: Route) -> Sequence[str]:
    beside = route.baseline
    return [backend_of(route, beside.colour, baseline=True)] if beside else []


def backend_of(route: Route, colour: Colour, *, baseline: bool = False) -> str:
    """Return the name of the backend in a filled slot, or of the baseline fleet beside it."""
    return backend_name(route.environment, route.service, colour, route.release(colour) or 0, baseline=baseline)


def claimed(route: Route) -> Sequence[str]:
    """Return the host names that ``route`` answers to, previews included."""
    return names(route.hosts)


def names(hosts: Sequence[str]) -> Sequence[str]:
    """Return ``hosts`` as gateways compare them, each with that of its preview."""
    return [name for host in hosts for name in (host.lower(), f"preview.{host.lower()}")]


def refuse(wanted: Listing, current: Mapping[str, Listing], known: Collection[str]) -> None:
    """Raise what speaks against ``wanted`` where ``current`` is in force, by service, and ``known`` are the backends."""
    held = current.get(wanted.key)
    if held is not None and wanted != held and wanted.generation <= held.generation:
        raise StaleGeneration(
            f"generation {wanted.generation} of {wanted.key} lost",
            why=f"generation {held.generation} is in force",
            next=f"bleen status {wanted.service}",
        )
    if wanted.route is None:
        return
    missing = sorted(set(reached(wanted.route)) - set(known))
    if missing:
        raise NotFound(f"the gateway knows no backend {missing[0]}", next=f"bleen instances {wanted.service}")
    _refuse_hosts(wanted, wanted.route, current)


def _refuse_hosts(wanted: Listing, route: Route, current: Mapping[str, Listing]) -> None:
    correct = f"change hosts: in the file of {wanted.service}"
    for host in route.hosts:
        if not _HOST.fullmatch(host):
            raise InvalidInput(f"{host!r} is no host name", next=correct)
    twice = sorted(name for name in claimed(route) if claimed(route).count(name) > 1)
    if twice:
        raise InvalidInput(f"{wanted.service} names {twice[0]} twice", next=correct)
    refuse_claimed(wanted.key, claimed(route), owners(current))


def owners(current: Mapping[str, Listing]) -> Mapping[str, str]:
    """Return which service, as ``dev/hello``, answers to which host name, previews included."""
    return {host: each.key for each in current.values() if each.route is not None for host in claimed(each.route)}


def refuse_claimed(key: str, hosts: Sequence[str], owned: Mapping[str, str]) -> None:
    """Refuse names of the service ``key`` that another one has: InvalidInput says which."""
    for host in hosts:
        if owned.get(host, key) != key:
            raise InvalidInput(
                f"{owned[host]} answers to {host} already, and two services cannot share a name",
                why=f"{key} asks for it too",
                next=f"write another name into hosts: in the file of {key.rpartition('/')[2]}",
            )
