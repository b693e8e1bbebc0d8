"""Renewals: a base that is built anew when fixes are published, and the services that are moved onto it, one at a time.

`next_step` is asked about what was seen and what the ledger says, and remembers nothing itself: whoever dies in the middle is
followed by one who comes to the same answer.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import field, structs

from bleen.domain.codec import Tagged, Value, lasting
from bleen.domain.duration import Duration
from bleen.domain.image import Digest
from bleen.domain.notice import Notice
from bleen.domain.patching import Fix, Patching
from bleen.domain.rollout import Aborted, Failed, Outcome, Promoted, RolledBack, Superseded

SCHEDULE = "patch-schedule"
"""Who asks for what nobody has asked for."""


_LATER = timedelta(hours=1)
"""Until it is looked again where only a person can change something."""


class Timetable(Value, frozen=True):
    """When bases are renewed by themselves, and in which order services follow."""

    every: Duration | None = lasting("1h")
    """How often the security suite is asked; None: never, and nothing is renewed unless somebody asks."""
    day: int = 1
    """The day of the month on which every base is renewed, whichever suite its newer packages are of; 0: none."""
    hour: int = 3
    """The hour of that day, in UTC."""
    environments: tuple[str, ...] = ("dev", "staging", "production")
    """In order; those that are not named come last, by name."""
    soak: Duration = lasting("1h")
    """How long what was promoted in one environment must have served well before the next one follows."""
    pause: Duration = lasting("15s")
    """Between two looks while something is under way."""


class Renewal(Value, frozen=True):
    """A base that was built anew: what stands on ``before`` is to stand on ``after``."""

    base: str
    """Its name."""
    before: Digest
    after: Digest
    """``before`` itself where nothing was newer."""
    fixes: tuple[Fix, ...] = ()
    """Those that were pending."""


class Asked(Value, frozen=True):
    """Somebody, or the calendar, wants bases renewed whether or not a fix is known to be pending."""

    by: str
    base: str = ""
    """Its name; empty: every one that something stands on."""
    done: tuple[Digest, ...] = ()
    """Those that were renewed since."""


class Agenda(Value, frozen=True):
    """What a renewal remembers between two looks: when to look next, and for whom."""

    timetable: Timetable = field(default_factory=Timetable)
    next_watch: datetime | None = None
    next_month: datetime | None = None
    asked: Asked | None = None
    fruitless: tuple[Digest, ...] = ()
    """Bases that were renewed in vain since the suite was asked last: their recipes want none of the fixes."""
    trouble: str = ""
    """Why the last renewal did not come about; told once."""


class Served(Value, frozen=True):
    """A release that serves, and the base that it stands on."""

    environment: str
    service: str
    release: int
    image: Digest
    base: Digest
    name: str
    """Of the base."""
    since: datetime | None = None
    """When it was promoted; None where the ledger does not tell."""
    healthy: bool = True
    busy: str = ""
    """By whom a rollout is under way, its warm time included; empty where none is."""


class Attempt(Value, frozen=True):
    """A release that was made to move a service onto a renewed base."""

    environment: str
    service: str
    release: int
    after: Digest
    at: datetime
    rollout: str = ""
    """The last one to it; empty where none has begun."""
    outcome: Outcome | None = None
    stopped: str = ""
    """Why it is not tried again; empty where it may be."""


class Survey(Value, frozen=True):
    """What is seen, and what the ledger says."""

    at: datetime
    served: tuple[Served, ...] = ()
    pending: dict[Digest, Patching] = {}
    """By base; of the bases that were asked about."""
    renewals: tuple[Renewal, ...] = ()
    """Oldest first."""
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""


class Renew(Tagged, frozen=True):
    """Build a base anew."""

    base: Digest
    name: str
    fixes: tuple[Fix, ...]
    by: str
    why: str


class Move(Tagged, frozen=True):
    """Make a release of what serves on the renewed base, and roll it out by the service's own strategy."""

    served: Served
    renewal: Renewal
    by: str


class Stop(Tagged, frozen=True):
    """Tell people that a service stays where it is, and do not try the same again."""

    environment: str
    service: str
    release: int
    renewal: Renewal
    why: str


class Hold(Tagged, frozen=True):
    """Wait for something to end; until it is looked again, at ``until`` at the latest."""

    why: str
    until: datetime


class Rest(Tagged, frozen=True):
    """Nothing is to be done."""

    why: str


RenewalStep = Renew | Move | Stop | Hold | Rest


def opened(agenda: Agenda, at: datetime) -> Agenda:
    """Return the agenda for a look at ``at``: the calendar asks on its day, and the suite is due from one watch on."""
    every, month = agenda.timetable.every, agenda.next_month
    if agenda.next_watch is None and every is not None:
        agenda = structs.replace(agenda, next_watch=at + every)
    if month is not None and month <= at and agenda.asked is None:
        agenda, month = structs.replace(agenda, asked=Asked(SCHEDULE)), None
    return structs.replace(agenda, next_month=month or month_after(at, agenda.timetable))


def is_due(agenda: Agenda, at: datetime) -> bool:
    """Return whether the security suite is to be asked now."""
    return agenda.asked is not None or (agenda.next_watch is not None and agenda.next_watch <= at)


def closed(agenda: Agenda, step: RenewalStep, at: datetime) -> Agenda:
    """Return the agenda after a look that led to ``step``: who asked has what they asked for when nothing is left to renew."""
    if isinstance(step, Renew):
        return agenda
    every, due = agenda.timetable.every, is_due(agenda, at)
    following = at + every if every is not None and due else agenda.next_watch
    return structs.replace(agenda, asked=None, fruitless=(), next_watch=following)


def renewed(agenda: Agenda, renewal: Renewal) -> Agenda:
    """Return the agenda after a base was renewed."""
    asked = agenda.asked
    done = structs.replace(asked, done=(*asked.done, renewal.before, renewal.after)) if asked else None
    vain = (renewal.before,) if renewal.after == renewal.before else ()
    return structs.replace(agenda, asked=done, fruitless=(*agenda.fruitless, *vain), trouble="")


def month_after(at: datetime, timetable: Timetable) -> datetime | None:
    """Return the next day of the month on which every base is renewed."""
    if timetable.day == 0 or timetable.every is None:
        return None
    this = at.replace(day=timetable.day, hour=timetable.hour, minute=0, second=0, microsecond=0)
    if this > at:
        return this
    return (this.replace(day=1) + timedelta(days=32)).replace(day=timetable.day)


def next_look(agenda: Agenda, step: RenewalStep, at: datetime) -> datetime | None:
    """Return when to look again after ``step``; None where only somebody's word leads to a look."""
    own = step.until if isinstance(step, Hold) else None
    return min((time for time in (own, agenda.next_watch, agenda.next_month) if time is not None), default=None)


def next_step(survey: Survey, agenda: Agenda) -> RenewalStep:
    """Return the one next thing to do. The first question that has an answer is answered."""
    for question in (_to_renew, _to_stop, _under_way, _to_move):
        step = question(survey, agenda)
        if step is not None:
            return step
    return Rest(_quiet(survey, agenda.timetable))


def _to_renew(survey: Survey, agenda: Agenda) -> Renew | None:
    """A base that somebody wants renewed, or that lacks fixes for which it was not renewed yet."""
    asked = agenda.asked
    for one in _in_order(survey, agenda.timetable):
        fixes = survey.pending[one.base].fixes if one.base in survey.pending else ()
        if asked is not None and asked.base in ("", one.name) and one.base not in asked.done:
            return Renew(one.base, one.name, fixes, asked.by, f"{asked.by} asked")
        known = one.base in agenda.fruitless or _covered(survey.renewals, one.base, fixes)
        if fixes and agenda.timetable.every is not None and not known:
            return Renew(one.base, one.name, fixes, SCHEDULE, fix_words(fixes))
    return None


def _to_stop(survey: Survey, agenda: Agenda) -> Stop | None:
    """An attempt that failed, was taken back or refused, of which nobody was told."""
    for one, renewal in _moves(survey, agenda.timetable):
        attempt = _attempt(survey, one, renewal)
        why = _failure(attempt) if attempt is not None and not attempt.stopped else ""
        if attempt is not None and why:
            return Stop(one.environment, one.service, attempt.release, renewal, why)
    return None


def _under_way(survey: Survey, agenda: Agenda) -> Hold | None:
    """A rollout of ours: never two at once."""
    for attempt in survey.attempts:
        if attempt.rollout and attempt.outcome is None:
            return Hold(f"{attempt.rollout} is under way", survey.at + agenda.timetable.pause)
    return None


def _to_move(survey: Survey, agenda: Agenda) -> RenewalStep | None:
    """The first service that may follow; else what the first one waits for."""
    held: list[Hold] = []
    for one, renewal in _moves(survey, agenda.timetable):
        if _stopped(survey, one, renewal):
            continue
        wait = _awaited(survey, one, agenda.timetable)
        if wait is None:
            return Move(one, renewal, SCHEDULE)
        held.append(wait)
    return min(held, key=lambda hold: hold.until, default=None)


def _awaited(survey: Survey, one: Served, timetable: Timetable) -> Hold | None:
    """What ``one`` waits for: a person's rollout, or an environment before its own."""
    soon = survey.at + timetable.pause
    if one.busy:
        return Hold(f"the rollout of {one.service} in {one.environment} by {one.busy} goes first", soon)
    for earlier in _in_order(survey, timetable):
        if earlier.name != one.name or _rank(earlier.environment, timetable) >= _rank(one.environment, timetable):
            continue
        where = f"{earlier.service} in {earlier.environment}"
        renewal = _renewal_of(survey, earlier)
        if renewal is not None and _stopped(survey, earlier, renewal):
            return Hold(f"{where} could not follow, and {one.environment} comes after it", survey.at + _LATER)
        if renewal is not None:
            return Hold(f"{where} comes before {one.environment}", soon)
        if not earlier.healthy:
            return Hold(f"{where} is not well, and {one.environment} comes after it", soon)
        if earlier.since is not None and earlier.since + timetable.soak > survey.at:
            return Hold(
                f"{where} is to serve well for {timetable.soak} before {one.environment}", earlier.since + timetable.soak
            )
    return None


def _quiet(survey: Survey, timetable: Timetable) -> str:
    """Return why there is nothing to be done."""
    for one, renewal in _moves(survey, timetable):
        attempt = _attempt(survey, one, renewal)
        if attempt is not None and attempt.stopped:
            return f"{one.service} in {one.environment} stays where it is: {attempt.stopped}"
    return "nothing is to be patched"


def _moves(survey: Survey, timetable: Timetable) -> Iterator[tuple[Served, Renewal]]:
    """Yield what stands on a base that was renewed, in the order in which it is to follow."""
    for one in _in_order(survey, timetable):
        renewal = _renewal_of(survey, one)
        if renewal is not None:
            yield one, renewal


def _renewal_of(survey: Survey, one: Served) -> Renewal | None:
    """Return the newest renewal of the base that ``one`` stands on; None where that is the newest base."""
    newest = next((r for r in reversed(survey.renewals) if r.before == one.base), None)
    return newest if newest is not None and newest.after != one.base else None


def _attempt(survey: Survey, one: Served, renewal: Renewal) -> Attempt | None:
    """Return the last attempt to move ``one``. An older one than the release that serves now says nothing of that."""
    place = (one.environment, one.service, renewal.after)
    mine = (a for a in reversed(survey.attempts) if (a.environment, a.service, a.after) == place)
    return next((a for a in mine if a.release >= one.release or (one.since is not None and a.at >= one.since)), None)


def _stopped(survey: Survey, one: Served, renewal: Renewal) -> bool:
    attempt = _attempt(survey, one, renewal)
    return attempt is not None and bool(attempt.stopped)


def _failure(attempt: Attempt) -> str:
    """Return why the attempt is not to be repeated; empty where it is under way, or a newer release took its place."""
    match attempt.outcome:
        case RolledBack(reason) | Failed(reason):
            return f"r{attempt.release} failed: {reason}"
        case Aborted(by):
            return f"r{attempt.release} was aborted by {by}"
        case Promoted():
            return f"r{attempt.release} was promoted, and taken back since"
        case Superseded() | None:
            return ""


def stop_notice(stop: Stop) -> Notice:
    """Return what people hear of a service that could not follow."""
    return Notice(
        kind="patch-stopped",
        environment=stop.environment,
        service=stop.service,
        rollout="",
        release=f"r{stop.release}",
        what=f"{stop.service} in {stop.environment} does not get {fix_words(stop.renewal.fixes)}; what follows it waits",
        why=stop.why,
        next=f"bleen history {stop.service}; bleen retry {stop.service} tries the same release again",
    )


def failure_notice(renew: Renew, what: str, why: str) -> Notice:
    """Return what people hear of a base that could not be built anew."""
    return Notice(
        kind="patch-failed",
        environment="",
        service="",
        rollout="",
        release="",
        what=f"{renew.name} is not patched with {fix_words(renew.fixes)}: {what}",
        why=why,
        next=f"bleen image patch --now {renew.name} tries it again",
    )


def _covered(renewals: Sequence[Renewal], base: Digest, fixes: Sequence[Fix]) -> bool:
    wanted = {(fix.package, fix.fixed) for fix in fixes}
    own = (r for r in renewals if r.before == base and r.after != base)
    return any(wanted <= {(fix.package, fix.fixed) for fix in r.fixes} for r in own)


def _in_order(survey: Survey, timetable: Timetable) -> list[Served]:
    return sorted(survey.served, key=lambda one: (_rank(one.environment, timetable), one.environment, one.service))


def _rank(environment: str, timetable: Timetable) -> int:
    named = timetable.environments
    return named.index(environment) if environment in named else len(named)


def fix_words(fixes: Sequence[Fix]) -> str:
    """Return which fixes, for people."""
    named = ", ".join(f"{fix.package} {fix.fixed}" for fix in fixes[:3]) + (", ..." if len(fixes) > 3 else "")
    return f"{len(fixes)} fix{'es' if len(fixes) != 1 else ''}{named and f': {named}'}"
