"""Views, from what the ports report."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from bleen.domain import views as ledger_views
from bleen.domain.errors import NotFound, Unreachable
from bleen.domain.fleet import Fleet
from bleen.domain.ledger import Entry, Query
from bleen.domain.removal import Removing
from bleen.domain.rollout import Observation
from bleen.domain.traffic import GatewaySeen
from bleen.domain.views import Lately, RemovalSummary
from bleen.interfaces.api.past import NOTHING, milestones
from bleen.interfaces.api.providers import Providers
from bleen.interfaces.views import ExplainedLine, Explanation, HistoryView, ServiceList, ServiceView, Urls
from bleen.interfaces.words import event_words, evidence_words, found_words
from bleen.ports import Ledger
from bleen.workflows.messages import Progress

_MANY = 10_000


async def service_list(providers: Providers, environment: str, only: Collection[str] = ()) -> ServiceList:
    """Return every service of ``environment`` by name, or ``only`` those."""
    past, fleets = await asyncio.gather(providers.past.all(environment), _fleets(providers, environment))
    running = defaultdict[str, list[Fleet]](list)
    for fleet in fleets or ():
        running[fleet.slot.service].append(fleet)
    known = {name for name, told in past.items() if told.removal is None} | running.keys()
    names = sorted(known.intersection(only) if only else known)
    views = [
        _service(
            providers,
            environment,
            name,
            past.get(name, NOTHING),
            None if fleets is None else running[name],
            asked=False,
        )
        for name in names
    ]
    closed = await providers.freezes.closed(environment)
    return ServiceList(environment=environment, services=tuple(await asyncio.gather(*views)), closed=closed)


async def service_view(providers: Providers, environment: str, service: str) -> ServiceView:
    """Return one service; NotFound."""
    past, fleets = await asyncio.gather(providers.past.of(environment, service), _fleets(providers, environment, service))
    if not fleets and (past is NOTHING or past.removal is not None):
        raise unknown_service(environment, service, past.removal)
    return await _service(providers, environment, service, past, fleets)


async def observation(providers: Providers, environment: str, service: str) -> Observation:
    """Return what is seen of ``service`` now."""
    fleets, gateways = await asyncio.gather(providers.fleets.observe(service), providers.gateway.observe(environment, service))
    here = tuple(f for f in fleets if f.slot.environment == environment)
    return Observation(at=providers.clock(), fleets=here, gateways=tuple(gateways))


async def history_view(providers: Providers, environment: str, service: str, limit: int) -> HistoryView:
    """Return the latest ``limit`` rollouts of ``service``, and its removals since; NotFound where there never was one."""
    entries = await milestones(providers.ledger, environment, service, limit)
    rollouts = ledger_views.history(entries)
    if not rollouts:
        raise unknown_service(environment, service)
    return HistoryView(
        environment=environment,
        service=service,
        rollouts=rollouts[:limit],
        removals=ledger_views.removals(entries)[:limit],
    )


async def explanation(providers: Providers, environment: str, service: str, number: int | None) -> Explanation:
    """Return why rollout ``number`` of ``service`` went as it did, or the last one; NotFound."""
    if number is None:
        past = await providers.past.of(environment, service)
        if not past.history:
            raise unknown_service(environment, service)
        rollout = past.history[0].id
    else:
        rollout = f"{environment}/{service}/{number}"
    entries = await whole(providers.ledger, rollout)
    summaries = ledger_views.history(entries)
    if not summaries:
        raise NotFound(f"there is no rollout {rollout}", next=f"bleen history {service} lists them")
    began = summaries[0].started
    lines = tuple(
        ExplainedLine(
            sequence=line.sequence,
            at=line.at,
            after=(line.at - began).total_seconds(),
            kind=line.kind,
            what=event_words(line.event),
            why=line.why,
            by=line.by,
            evidence=line.evidence,
            event=line.event,
            seen=evidence_words(line.evidence) if line.evidence else "",
            words=found_words(line.event),
        )
        for line in ledger_views.explain(entries)
    )
    return Explanation(rollout=summaries[0], lines=lines)


async def whole(ledger: Ledger, rollout: str, page: int = _MANY) -> Sequence[Entry]:
    """Return every entry of ``rollout``, read ``page`` at a time: a canary that is measured for days has many."""
    entries: list[Entry] = []
    while True:
        read = await ledger.read(Query(rollout=rollout, after=entries[-1].sequence if entries else 0, limit=page))
        entries += read
        if len(read) < page:
            return entries


async def missing(providers: Providers, environment: str, service: str) -> NotFound:
    """Return the error for a service of which nothing runs: by the ledger, was it removed?"""
    return unknown_service(environment, service, (await providers.past.of(environment, service)).removal)


def unknown_service(environment: str, service: str, removal: RemovalSummary | None = None) -> NotFound:
    """Return the error for a service that nobody deployed, or that was removed."""
    if removal is not None:
        said = f": {removal.reason}" if removal.reason else ""
        return NotFound(
            f"there is no service {service} in {environment} any more",
            why=f"{removal.by} removed it at {removal.at:%Y-%m-%d %H:%M} UTC{said}",
            next=f"bleen history {service} says what it was; bleen deploy {service} brings it back",
        )
    return NotFound(
        f"there is no service {service} in {environment}",
        why="nothing of that name was ever deployed there",
        next=f"bleen status lists the services; bleen deploy {service} makes it one",
    )


async def _fleets(providers: Providers, environment: str, service: str = "") -> list[Fleet] | None:
    """Return what the machines report; None where they do not answer."""
    try:
        return [f for f in await providers.fleets.observe(service) if f.slot.environment == environment]
    except Unreachable:
        return None


async def _progress(providers: Providers, environment: str, service: str) -> Progress | Unreachable | None:
    try:
        return await providers.control.progress(environment, service)
    except Unreachable as error:
        return error


async def _removing(providers: Providers, environment: str, service: str, begun: Removing | None) -> Removing | None:
    """Return the removal under way. The engine is asked only where the ledger says that one has ``begun``."""
    if begun is None:
        return None
    try:
        return await providers.control.removing(environment, service)
    except Unreachable:
        return begun


async def _nothing() -> None:
    """Nothing is under way: the ledger says so, and the engine need not be asked about each of hundreds of services."""


async def _service(
    providers: Providers,
    environment: str,
    service: str,
    past: Lately,
    fleets: Sequence[Fleet] | None,
    *,
    asked: bool = True,
) -> ServiceView:
    over = not asked and bool(past.history) and past.history[0].finished is not None
    gateways, progress, removing = await asyncio.gather(
        providers.gateway.observe(environment, service),
        _nothing() if over else _progress(providers, environment, service),
        _removing(providers, environment, service, past.removing),
    )
    silent = [*(["machines"] if fleets is None else []), *(["engine"] if isinstance(progress, Unreachable) else [])]
    known = None if isinstance(progress, Unreachable) else progress
    return ServiceView(
        environment=environment,
        service=service,
        state="changing" if removing else state_of(known, fleets, gateways),
        stable=past.stable,
        urls=_urls(providers, environment, service, past.hosts),
        fleets=tuple(fleets or ()),
        gateways=tuple(gateways),
        progress=known,
        history=past.history,
        at=providers.clock(),
        silent=tuple(silent),
        trouble=providers.trouble(),
        removing=removing,
    )


def state_of(progress: Progress | None, fleets: Sequence[Fleet] | None, gateways: Sequence[GatewaySeen]) -> str:
    """Return how a service is, in one word."""
    if progress is not None and progress.rollout.outcome is None:
        return "changing"
    if fleets is None or not gateways or not all(g.answered for g in gateways):
        return "unknown"
    serving = [f for f in fleets if any(_serves(g, f) for g in gateways)]
    if not serving or any(f.ready == 0 for f in serving):
        return "down"
    return "degraded" if any(f.ready < f.size for f in serving) else "serving"


def _serves(gateway: GatewaySeen, fleet: Fleet) -> bool:
    route, colour = gateway.route, fleet.slot.colour
    here = route is not None and gateway.region == fleet.slot.region
    if not here or route is None or route.release(colour) != fleet.release:
        return False
    # Where the baseline fleet has all that its colour has, the fleet in the colour is still what all traffic goes back to.
    return route.carries(colour, baseline=True) > 0 if fleet.slot.baseline else route.split.weight(colour) > 0


def _urls(providers: Providers, environment: str, service: str, hosts: Sequence[str]) -> Urls:
    host = hosts[0] if hosts else f"{service}.localhost"
    scheme = "https" if providers.gateway_port == 443 else "http"
    gate = "" if providers.gateway_port in (80, 443) else f":{providers.gateway_port}"
    port = providers.own_port(environment, service)
    own = f"http://127.0.0.1:{port}" if port else ""
    return Urls(live=f"{scheme}://{host}{gate}", preview=f"{scheme}://preview.{host}{gate}", own=own)
