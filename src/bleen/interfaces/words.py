"""Domain values in words, the same in the API, the command line and the console."""

from collections.abc import Sequence
from typing import assert_never

from bleen.domain.access import grants_words
from bleen.domain.calendar import Calendar, Holiday
from bleen.domain.check import CheckTime, title
from bleen.domain.command import Abort, Advance, Command, Exempt, GoBack, Pause, Rename, Resume, Scale, Supersede
from bleen.domain.decision import AskHuman, Decision, Done, Launch, Measure, Promote, Retire, Rollback, Shift, Wait
from bleen.domain.fleet import Fleet, Instance
from bleen.domain.ledger import (
    BaseRenewed,
    CalendarSet,
    Checked,
    Commanded,
    Decided,
    EnvironmentFrozen,
    EnvironmentThawed,
    Event,
    Finished,
    FreezeOverridden,
    GlassBroken,
    HostsChanged,
    Measured,
    NoticeLost,
    ReleaseMade,
    RemovalDecided,
    RenewalBegun,
    RenewalStopped,
    RolloutStarted,
    Scaled,
    ServiceRemoved,
    SessionClosed,
    SessionOpened,
    Settled,
    TokenMade,
    TokenRevoked,
)
from bleen.domain.policy import Gated
from bleen.domain.removal import Drain, Gone, RemovalStep, Removing, Withdraw
from bleen.domain.renewal import fix_words
from bleen.domain.rollout import Aborted, Failed, Outcome, Promoted, RolledBack, Rollout, Superseded
from bleen.domain.strategy import (
    Analyse,
    Commit,
    Judge,
    KeepWarm,
    Learn,
    OpenCohort,
    OpenPreview,
    RunChecks,
    SetMirror,
    SetWeight,
    StartFleet,
    Stay,
    Step,
    Watch,
)
from bleen.domain.traffic import Cohort, Colour, CookieCohort, HeaderCohort, Route, place
from bleen.domain.views import Evidence, GatewayFact
from bleen.interfaces.figures import counted
from bleen.interfaces.verdicts import assessment_words

_CHECKING = {
    CheckTime.BEFORE: "check before traffic",
    CheckTime.AMID: "check amid traffic",
    CheckTime.AFTER: "check under traffic",
}


def decision_words(decision: Decision) -> str:
    """Return what is done: ``launch green r3, 2 instances``."""
    match decision:
        case Launch(colour, release, size):
            return f"launch {place(colour, decision.baseline)} r{release}, {counted(size, 'instance')}"
        case Shift(route):
            return f"shift to {route_words(route)}"
        case Wait():
            return "wait"
        case Measure(when, checks):
            return f"check {when} traffic: {', '.join(title(c) for c in checks)}"
        case AskHuman(question):
            return f"ask: {question}"
        case Promote(release):
            return f"promote r{release}"
        case Rollback(outcome):
            return f"go back: {outcome_words(outcome)}"
        case Retire(colour, release):
            return f"retire {place(colour, decision.baseline)} r{release}"
        case Done(outcome):
            return f"done: {outcome_words(outcome)}"
    assert_never(decision)


def route_words(route: Route) -> str:
    """Return ``blue r2 80 %, green r3 10 %, blue-baseline r2 10 %, preview green``."""
    slots = [
        f"{colour} {'(empty)' if release is None else f'r{release}'} {route.carries(colour) / 100:g} %"
        for colour, release in ((Colour.BLUE, route.blue), (Colour.GREEN, route.green))
        if release is not None or route.split.weight(colour)
    ]
    if apart := route.baseline:
        slots.append(f"{place(apart.colour, baseline=True)} r{route.release(apart.colour)} {apart.share / 100:g} %")
    return ", ".join([*slots, *([f"preview {route.preview}"] if route.preview else [])])


def step_words(step: Step) -> str:
    """Return the name of a step in a plan: ``start the fleet``."""
    match step:
        case StartFleet(size):
            started = "start the fleet" if size is None else f"start {counted(size, 'instance')}"
            return f"{started}, and as many for the baseline" if step.baseline else started
        case OpenPreview():
            return "open the preview"
        case RunChecks(when):
            return _CHECKING[when]
        case Judge(auto_after, question):
            asked = f"ask a person: {question}" if question else "ask a person"
            return f"{asked} (or {auto_after})" if auto_after else asked
        case Stay(duration):
            return f"pause {duration}"
        case OpenCohort(cohort):
            return f"send {cohort_words(cohort)} to it"
        case SetMirror(mirror):
            return f"mirror {mirror.share / 100:g} % of {', '.join(mirror.methods)}" if mirror.share else "mirror no more"
        case Watch():
            return "watch the traffic from here on"
        case Learn(duration):
            return f"learn what is usual, {duration}"
        case Analyse(longest):
            return f"let the traffic decide, up to {longest}"
        case SetWeight(weight):
            return f"switch to {weight / 100:g} %"
        case Commit():
            return "promote"
        case KeepWarm(duration):
            return f"keep the old fleet warm {duration}"
    assert_never(step)


def cohort_words(cohort: Cohort) -> str:
    """Return ``the header x-team: beta``."""
    match cohort:
        case HeaderCohort(name, value):
            return f"the header {name}: {value}"
        case CookieCohort(name, value):
            return f"the cookie {name}={value}"
    assert_never(cohort)


def outcome_words(outcome: Outcome) -> str:
    """Return ``promoted``, ``rolled back: 3 crashes``, ..."""
    match outcome:
        case Promoted():
            return "promoted"
        case RolledBack(reason):
            return f"rolled back: {reason}"
        case Aborted(by):
            return f"aborted by {by}"
        case Superseded(by):
            return f"superseded by r{by}"
        case Failed(reason):
            return f"failed: {reason}"
    assert_never(outcome)


def course_words(rollout: Rollout) -> str:
    """Return from where to where it goes: ``r1 -> r2 2.0``."""
    source = f"{rollout.stable.name} -> " if rollout.stable else ""
    return f"{source}{rollout.target.name} {rollout.target.version}".rstrip()


def command_words(command: Command) -> str:
    """Return what a person asked for."""
    match command:
        case Advance(_, full):
            return "promote, skipping what is left" if full else "promote"
        case Pause():
            return "pause"
        case Resume():
            return "resume"
        case Exempt(_, reason):
            return f"go on in spite of the freeze: {reason}"
        case Abort():
            return "abort"
        case GoBack():
            return "roll back"
        case Scale(_, size):
            return f"scale to {counted(size, 'instance')}"
        case Rename(_, hosts):
            return f"answer to {', '.join(hosts)}"
        case Supersede(_, release):
            return f"make room for r{release}"
    assert_never(command)


def instance_words(instance: Instance) -> str:
    """Return its state with what matters: ``crashed (exit 1, 3 restarts)``."""
    notes = [instance.last_exit] if instance.last_exit and instance.state not in ("ready", "draining") else []
    if instance.restarts:
        notes.append(counted(instance.restarts, "restart"))
    return f"{instance.state} ({', '.join(notes)})" if notes else str(instance.state)


def fleet_words(fleet: Fleet) -> str:
    """Return ``green r3 2/2 ready``."""
    return f"{fleet.slot.place} r{fleet.release} {fleet.ready}/{fleet.size} ready"


def event_words(event: Event) -> str:
    """Return what happened, without its reason."""
    match event:
        case Decided(decision):
            return decision_words(decision)
        case Commanded(command):
            return f"asked to {command_words(command)}"
        case Settled(outcome):
            return f"settled: {outcome_words(outcome).partition(':')[0]}"
        case RolloutStarted(plan):
            source = f", from {plan.stable.name}" if plan.stable else ", the first"
            return f"start {plan.target.name} ({plan.target.version or plan.target.image[7:19]}){source}"
        case Checked(results):
            failed = sum(not r.passed for r in results)
            return f"checks ended: {len(results) - failed} passed, {failed} failed"
        case Finished():
            return "cleaned up"
        case ReleaseMade(release):
            return f"made {release.name}"
        case Measured(assessment):
            return f"measured {counted(assessment.requests, 'request')} beside {assessment.compared:,}"
        case TokenMade(token):
            return f"made the token {token.id} of {token.name}: {grants_words(token.grants)}, until {token.expires:%Y-%m-%d}"
        case TokenRevoked(id, name):
            return f"revoked the token {id} of {name}"
        case SessionOpened(session):
            return f"signed {session.person} in at the console, until {session.expires:%Y-%m-%d %H:%M}"
        case SessionClosed(id):
            return f"signed out of the console: session {id}"
        case GlassBroken(act, reason):
            return f"broke the glass to {act}: {reason}"
        case EnvironmentFrozen(_, until):
            return f"froze the environment{f' until {until:%Y-%m-%d %H:%M} UTC' if until else ''}"
        case EnvironmentThawed():
            return "thawed the environment"
        case CalendarSet(calendar, holidays):
            return f"set the calendar: {calendar_words(calendar, holidays)}"
        case FreezeOverridden(act):
            return f"overrode the freeze to {act}"
        case NoticeLost(kind, channel):
            return f"gave up telling {channel}: {kind}"
        case HostsChanged(_, after):
            return f"answers to {', '.join(after)}"
        case Gated(image, allowed):
            found = ", ".join(f"{count} {name}" for name, count in event.counts.items()) or "nothing found"
            return f"judged image {image[7:19]}: {'may be released' if allowed else 'blocked'}, {found}"
        case RemovalDecided(step):
            return f"remove it: {removal_words(step)}"
        case ServiceRemoved():
            return "removed: no gateway routes to it, and nothing of it runs"
        case BaseRenewed(renewal):
            newer = f"as {renewal.after[7:19]}" if renewal.after != renewal.before else "and nothing was newer"
            return f"built {renewal.base} {renewal.before[7:19]} anew, {newer}"
        case RenewalBegun(renewal, release):
            return f"made r{release} to patch it: on {renewal.base} {renewal.after[7:19]}"
        case RenewalStopped(renewal, release):
            return f"stays on {renewal.base} {renewal.before[7:19]}, and is not patched with r{release} again"
        case Scaled(release, size, before):
            return f"scaled r{release} {f'from {before} ' if before else ''}to {counted(size, 'instance')}"
    assert_never(event)


def removal_words(step: RemovalStep) -> str:
    """Return what a removal does: ``end blue r2, green r1``."""
    match step:
        case Withdraw():
            return "take its route from every gateway"
        case Drain(fleets):
            return f"end {', '.join(dict.fromkeys(map(str, fleets)))}"
        case Wait(why):
            return f"wait: {why}"
        case Gone():
            return "nothing is left to do"
    assert_never(step)


def removing_words(removing: Removing) -> str:
    """Return ``ada removes it, nobody uses it: end blue r2``."""
    why = f", {removing.reason}" if removing.reason else ""
    doing = f"it is tried again: {removing.error}" if removing.error else ""
    doing = doing or (removal_words(removing.step) if removing.step else "begin")
    return f"{removing.by} removes it{why}: {doing}"


def calendar_words(calendar: Calendar, holidays: Sequence[Holiday]) -> str:
    """Return ``Europe/Berlin; mon,tue 09:00-16:00; holidays of DE-BE until 2031; frozen 2026-12-18 to 2027-01-06``."""
    parts = [calendar.zone, *map(str, calendar.windows)]
    if calendar.holidays is not None:
        whose = "-".join(filter(None, (calendar.holidays.country, calendar.holidays.subdivision)))
        parts.append(f"holidays of {whose} until {holidays[-1].day[:4] if holidays else 'nobody knows when'}")
    parts += [f"frozen {period.first} to {period.last}" for period in calendar.freezes]
    return "; ".join(parts)


def event_why(event: Event) -> str:
    """Return the reason of what happened, where it has one."""
    match event:
        case Decided(decision):
            return decision.why
        case Measured(assessment):
            return assessment.verdict.why
        case Settled(RolledBack(reason) | Failed(reason)):
            return reason
        case BaseRenewed(renewal) | RenewalBegun(renewal):
            return fix_words(renewal.fixes) if renewal.fixes else ""
        case RenewalStopped(_, _, why):
            return why
        case RemovalDecided(_, reason) | ServiceRemoved(reason):
            return reason
        case EnvironmentFrozen(reason) | EnvironmentThawed(reason):
            return reason
        case FreezeOverridden(_, reason):
            return reason
        case NoticeLost(_, _, why):
            return why
    return ""


def found_words(event: Event) -> tuple[str, ...]:
    """Return what a measurement or checks came to, line by line; nothing of any other event."""
    match event:
        case Measured(assessment):
            return tuple(assessment_words(assessment))
        case Checked(results):
            return tuple(f"{'passed' if result.passed else 'FAILED'} {result.name}: {result.detail}" for result in results)
    return ()


def evidence_words(evidence: Evidence) -> str:
    """Return what was seen, in a line."""
    fleets = [
        f"{place(f.colour, f.baseline)} r{f.release} {f.ready}/{f.size} ready{_restarts(f.restarts)}" for f in evidence.fleets
    ]
    hosts = ["; ".join(fleets) or "no fleet"] if evidence.hosts_answered else ["the machines did not answer"]
    return "; ".join([*hosts, *(_gateway_words(g) for g in evidence.gateways)])


def _restarts(count: int) -> str:
    return f" ({counted(count, 'restart')})" if count else ""


def _gateway_words(gateway: GatewayFact) -> str:
    if not gateway.answered:
        return f"{gateway.gateway} did not answer"
    beside = gateway.baseline
    apart = f", of {beside.colour}'s {beside.share / 100:g} % for its baseline fleet" if beside else ""
    return f"{gateway.gateway} has {gateway.split or 'no route'}{apart}"
