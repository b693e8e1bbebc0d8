"""Dry runs: the decisions a rollout would take if everything that it starts came up well.

It is `decide` itself, asked about a world that does what it is told; checks pass and people say yes.
"""

from datetime import datetime, timedelta

from msgspec import structs

from bleen.domain.check import CheckResult
from bleen.domain.decide import advance, applied, decide, measured
from bleen.domain.decision import AskHuman, Decision, Done, Launch, Measure, Retire, Shift, Wait
from bleen.domain.fleet import Fleet, Instance, InstanceState, Slot
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.strategy import Analyse
from bleen.domain.traffic import BackendSeen, Endpoint, EndpointSeen, GatewaySeen
from bleen.domain.verdict import Assessment, Pass

_TURNS = 1000


def dry_run(rollout: Rollout, seen: Observation) -> tuple[Decision, ...]:
    """Return the decisions in order, the last one Done; equal waits are listed once."""
    decisions: list[Decision] = []
    for _ in range(_TURNS):
        rollout = advance(rollout, seen, seen.at)
        decision = decide(rollout, seen, seen.at)
        if not decisions or decisions[-1] != decision:
            decisions.append(decision)
        if isinstance(decision, Done):
            break
        rollout, seen = _obey(rollout, seen, decision)
    return tuple(decisions)


def _obey(rollout: Rollout, seen: Observation, decision: Decision) -> tuple[Rollout, Observation]:
    now = seen.at + timedelta(seconds=1)
    match decision:
        case Launch():
            seen = _launched(rollout, seen, decision)
        case Shift(route):
            gateways = tuple(structs.replace(g, route=route) for g in seen.gateways)
            seen = structs.replace(seen, gateways=gateways)
        case Retire():
            seen = _without(seen, decision)
        case Measure(when, checks):
            results = (CheckResult(f"check {i + 1}", when, True, "assumed to pass", now) for i in range(len(checks)))
            rollout = measured(rollout, tuple(results))
        case AskHuman():
            rollout = structs.replace(rollout, approved_by="(assumed)")
        case Wait() if isinstance(rollout.current, Analyse):
            seen = structs.replace(seen, assessment=_assumed(rollout, now))
        case Wait(_, until) if until is not None:
            now = max(now, until)
        case _:
            pass
    return applied(rollout, decision, now), structs.replace(seen, at=now)


def _assumed(rollout: Rollout, now: datetime) -> Assessment:
    return Assessment(at=now, verdict=Pass("assumed to be good"), step=rollout.step, requests=0, compared=0)


def _launched(rollout: Rollout, seen: Observation, launch: Launch) -> Observation:
    seen = _without(seen, launch)
    fleets = tuple(_fleet(rollout, region, launch, seen) for region in rollout.regions)
    gateways = tuple(_with_backend(g, launch) for g in seen.gateways)
    return structs.replace(seen, fleets=seen.fleets + fleets, gateways=gateways)


def _without(seen: Observation, there: Launch | Retire) -> Observation:
    gone = (there.colour, there.release, there.baseline)
    fleets = tuple(f for f in seen.fleets if (f.slot.colour, f.release, f.slot.baseline) != gone)
    gateways = tuple(
        structs.replace(g, backends=tuple(b for b in g.backends if (b.colour, b.release, b.baseline) != gone))
        for g in seen.gateways
    )
    return structs.replace(seen, fleets=fleets, gateways=gateways)


def _fleet(rollout: Rollout, region: str, launch: Launch, seen: Observation) -> Fleet:
    slot = Slot(rollout.environment, region, rollout.service, launch.colour, launch.baseline)
    instances = tuple(
        Instance(name=f"{rollout.service}-{k}", address="", port=0, state=InstanceState.READY, since=seen.at)
        for k in range(launch.size)
    )
    return Fleet(slot=slot, release=launch.release, size=launch.size, instances=instances)


def _with_backend(gateway: GatewaySeen, launch: Launch) -> GatewaySeen:
    endpoints = tuple(EndpointSeen(Endpoint("", k), healthy=True, active=0) for k in range(launch.size))
    seen = BackendSeen(launch.colour, launch.release, endpoints, launch.baseline)
    return structs.replace(gateway, backends=(*gateway.backends, seen))
