"""Views, from what the ports report."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from bleen.domain import views as ledger_views
from bleen.domain.errors import NotFound, Unreachable
from bleen.domain.fleet import Fleet
from bleen.domain.ledger import Entry, Query, RemovalDecided, RolloutStarted
from bleen.domain.removal import Removing
from bleen.domain.rollout import Observation, ReleaseRef
from bleen.domain.traffic import GatewaySeen
from bleen.domain.views import RemovalSummary
from bleen.interfaces.api.providers import Providers
from bleen.interfaces.views import ExplainedLine, Explanation, HistoryView, ServiceList, ServiceView, Urls
from bleen.interfaces.words import event_words, evidence_words, found_words
from bleen.ports import Ledger
from bleen.workflows.messages import Progress

_MANY = 10_000
_RECENT = 5
_MILESTONES = ("rollout-started", "settled", "finished", "removal-decided", "service-removed")


async def service_list(providers: Providers, environment: str, only: Collection[str] = ()) -> ServiceList:
    """Return every service of ``environment`` by name, or ``only`` those."""
    entries, fleets = await asyncio.gather(_milestones(providers, environment), _fleets(providers, environment))
    past, running = defaultdict[str, list[Entry]](list), defaultdict[str, list[Fleet]](list)
    for entry in entries:
        past[entry.service].append(entry)
    for fleet in fleets or ():
        running[fleet.slot.service].append(fleet)
    gone = {name for name, entries in past.items() if ledger_views.removed(entries) is not None}
    known = (past.keys() - gone) | running.keys()
    names = sorted(known.intersection(only) if only else known)
    views = [
        _service(
            providers,
            environment,
            name,
            past[name],
            None if fleets is None else running[name],
            asked=False,
        )
        for name in names
    ]
    closed = await providers.freezes.closed(environment)
    return ServiceList(environment=environment, services=tuple(await asyncio.gather(*views)), closed=closed)


async def service_view(providers: Providers, environment: str, service: str) -> ServiceView:
    """Return one service; NotFound."""
    entries, fleets = await asyncio.gather(
        _milestones(providers, environment, service), _fleets(providers, environment, service)
    )
    if not fleets and (not entries or ledger_views.removed(entries) is not None):
        raise unknown_service(environment, service, ledger_views.removed(entries))
    return await _service(providers, environment, service, entries, fleets)


async def observation(providers: Providers, environment: str, service: str) -> Observation:
    """Return what is seen of ``service`` now."""
    fleets, gateways = await asyncio.gather(providers.fleets.observe(service), providers.gateway.observe(environment, service))
    here = tuple(f for f in fleets if f.slot.environment == environment)
    return Observation(at=providers.clock(), fleets=here, gateways=tuple(gateways))


async def history_view(providers: Providers, environment: str, service: str, limit: int) -> HistoryView:
    """Return the latest ``limit`` rollouts of ``service``; NotFound where there never was one."""
    entries = await _milestones(providers, environment, service)
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
        rollout = (await history_view(providers, environment, service, 1)).rollouts[0].id
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
    return unknown_service(environment, service, ledger_views.removed(await _milestones(providers, environment, service)))


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


async def _removing(providers: Providers, environment: str, service: str, entries: Sequence[Entry]) -> Removing | None:
    """Return the removal under way. The engine is asked only where the ledger says that one began."""
    last = max(entries, key=lambda entry: entry.sequence, default=None)
    if last is None or not isinstance(last.event, RemovalDecided):
        return None
    try:
        return await providers.control.removing(environment, service)
    except Unreachable:
        return Removing(environment, service, last.by, last.event.reason, last.at, last.event.step)


async def _milestones(providers: Providers, environment: str, service: str = "") -> Sequence[Entry]:
    query = Query(environment=environment, service=service, kinds=_MILESTONES, limit=_MANY, newest=True)
    return await providers.ledger.read(query)


async def _nothing() -> None:
    """Nothing is under way: the ledger says so, and the engine need not be asked about each of hundreds of services."""


async def _service(
    providers: Providers,
    environment: str,
    service: str,
    entries: Sequence[Entry],
    fleets: Sequence[Fleet] | None,
    *,
    asked: bool = True,
) -> ServiceView:
    history = ledger_views.history(entries)[:_RECENT]
    over = not asked and bool(history) and history[0].finished is not None
    gateways, progress, removing = await asyncio.gather(
        providers.gateway.observe(environment, service),
        _nothing() if over else _progress(providers, environment, service),
        _removing(providers, environment, service, entries),
    )
    silent = [*(["machines"] if fleets is None else []), *(["engine"] if isinstance(progress, Unreachable) else [])]
    known = None if isinstance(progress, Unreachable) else progress
    return ServiceView(
        environment=environment,
        service=service,
        state="changing" if removing else state_of(known, fleets, gateways),
        stable=_stable(entries),
        urls=_urls(providers, environment, service, entries),
        fleets=tuple(fleets or ()),
        gateways=tuple(gateways),
        progress=known,
        history=history,
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


def _stable(entries: Sequence[Entry]) -> ReleaseRef | None:
    """The release that serves by the ledger, with its version."""
    number = ledger_views.standing(entries).stable
    plans = [e.event.rollout for e in entries if isinstance(e.event, RolloutStarted)]
    refs = [r for p in plans for r in (p.target, p.stable) if r is not None]
    return next((r for r in refs if r.number == number), None)


def _urls(providers: Providers, environment: str, service: str, entries: Sequence[Entry]) -> Urls:
    plans = [e.event.rollout for e in sorted(entries, key=lambda e: -e.sequence) if isinstance(e.event, RolloutStarted)]
    host = plans[0].hosts[0] if plans and plans[0].hosts else f"{service}.localhost"
    scheme = "https" if providers.gateway_port == 443 else "http"
    gate = "" if providers.gateway_port in (80, 443) else f":{providers.gateway_port}"
    port = providers.own_port(environment, service)
    own = f"http://127.0.0.1:{port}" if port else ""
    return Urls(live=f"{scheme}://{host}{gate}", preview=f"{scheme}://preview.{host}{gate}", own=own)
