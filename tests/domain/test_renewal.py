"""Renewals on a clock of their own: months in milliseconds, with whatever a rollout may come to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.duration import Duration, seconds
from bleen.domain.patching import PROMISE, Fix, Patching
from bleen.domain.renewal import (
    SCHEDULE,
    Agenda,
    Asked,
    Attempt,
    Hold,
    Move,
    Renew,
    Renewal,
    RenewalStep,
    Rest,
    Served,
    Stop,
    Survey,
    Timetable,
    closed,
    is_due,
    month_after,
    next_look,
    next_step,
    opened,
    renewed,
)
from bleen.domain.rollout import Aborted, Outcome, Promoted, RolledBack, Superseded

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ENVIRONMENTS = ("dev", "staging", "production")
Place = tuple[str, str]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def fix(package: str, at: datetime = START) -> Fix:
    return Fix(package, package, "1", "2", at)


@dataclass
class Company:
    """Services on one base, an archive that publishes fixes, rollouts that take 20 minutes, and a ledger."""

    timetable: Timetable = field(default_factory=Timetable)
    places: tuple[Place, ...] = tuple((name, "hello") for name in ENVIRONMENTS)
    takes: timedelta = timedelta(minutes=20)
    ends: Callable[[Place, int], Outcome] = lambda place, release: Promoted()

    deaf: bool = False
    """The recipe says `patches: none`."""

    def __post_init__(self) -> None:
        self.at = START
        self.agenda = Agenda(self.timetable)
        self.archive: list[Fix] = []
        self.newer = 0
        """How often the release of the distribution was updated, with no fix of its security."""
        self.bases = {digest(0): (frozenset[str](), 0)}
        self.served = {place: Served(*place, 1, digest(100), digest(0), "little", START - DAY) for place in self.places}
        self.releases = dict.fromkeys(self.places, 1)
        self.standing = {(place, 1): digest(0) for place in self.places}
        self.renewals: list[Renewal] = []
        self.attempts: list[Attempt] = []
        self.log: list[tuple[datetime, RenewalStep]] = []

    # ---- the world ----

    def deploy(self, place: Place, base: str) -> None:
        """A person makes a release on ``base``, and it is promoted."""
        self.releases[place] += 1
        self.standing[place, self.releases[place]] = base
        self.serve(place, self.releases[place])

    def serve(self, place: Place, release: int, **more: object) -> None:
        base = self.standing[place, release]
        self.served[place] = structs.replace(
            self.served[place], release=release, base=base, since=self.at, **({"busy": "", "healthy": True} | more)
        )

    def pending(self, base: str) -> Patching:
        has = self.bases[base][0]
        return Patching(base, checked=self.at, fixes=tuple(f for f in self.archive if f.package not in has))

    def survey(self, ask: bool) -> Survey:
        served = tuple(self.served.values())
        pending = {one.base: self.pending(one.base) for one in served} if ask else {}
        return Survey(self.at, served, pending, tuple(self.renewals), tuple(self.attempts))

    def renew(self, step: Renew) -> None:
        content = (frozenset(f.package for f in self.archive), self.newer)
        if self.deaf:
            content = self.bases[step.base]
        after = next((known for known, has in self.bases.items() if has == content), digest(len(self.bases)))
        self.bases[after] = content
        renewal = Renewal(step.name, step.base, after, step.fixes)
        self.renewals.append(renewal)
        self.agenda = renewed(self.agenda, renewal)

    def move(self, step: Move) -> None:
        place = (step.served.environment, step.served.service)
        assert not any(a.rollout and a.outcome is None for a in self.attempts), "never two at once"
        assert not self.served[place].busy, "a person's rollout goes first"
        self.releases[place] += 1
        release = self.releases[place]
        self.standing[place, release] = step.renewal.after
        self.attempts.append(Attempt(*place, release, step.renewal.after, self.at, rollout=f"{place}/{release}"))

    def end_rollouts(self) -> None:
        for number, attempt in enumerate(self.attempts):
            if attempt.outcome is None and attempt.rollout and attempt.at + self.takes <= self.at:
                place = (attempt.environment, attempt.service)
                outcome = self.ends(place, attempt.release)
                self.attempts[number] = structs.replace(attempt, outcome=outcome)
                if isinstance(outcome, Promoted):
                    self.serve(place, attempt.release)

    # ---- the loop, as the workflow has it ----

    def look(self) -> RenewalStep:
        self.end_rollouts()
        self.agenda = opened(self.agenda, self.at)
        step = next_step(self.survey(is_due(self.agenda, self.at)), self.agenda)
        self.agenda = closed(self.agenda, step, self.at)
        if not self.log or self.log[-1][1] != step:
            self.log.append((self.at, step))
        return step

    def turn(self) -> None:
        step = self.look()
        match step:
            case Renew():
                self.renew(step)
            case Move():
                self.move(step)
            case Stop(environment, service, release, renewal, why):
                place = (environment, service, release, renewal.after)
                self.attempts = [
                    structs.replace(a, stopped=why) if (a.environment, a.service, a.release, a.after) == place else a
                    for a in self.attempts
                ]
            case Hold() | Rest():
                until = next_look(self.agenda, step, self.at)
                assert until is None or until > self.at, f"it would look for ever: {step}"
                self.at = until or self.at + DAY

    def live(self, time: timedelta) -> None:
        """Let ``time`` go by."""
        until = self.at + time
        while self.at < until:
            self.turn()

    def steps(self, kind: type[RenewalStep]) -> list[RenewalStep]:
        return [step for _, step in self.log if isinstance(step, kind)]

    @property
    def moved(self) -> list[tuple[str, str]]:
        """The environment and service of every move, in order."""
        return [(a.environment, a.service) for a in self.attempts]

    @property
    def patched(self) -> set[Place]:
        """Where nothing is pending."""
        return {place for place, one in self.served.items() if not self.pending(one.base).fixes}


def test_a_fix_reaches_every_environment_in_order_within_the_promise() -> None:
    """Each follows when the one before it has served well for a while; its base is built once."""
    company = Company()
    company.live(DAY)
    company.archive.append(fix("openssl", company.at))
    published = company.at
    company.live(PROMISE)
    assert company.moved == [(name, "hello") for name in ENVIRONMENTS]
    first, second, third = (attempt.at for attempt in company.attempts)
    assert second - first >= company.takes + HOUR and third - second >= company.takes + HOUR
    assert third + company.takes - published < timedelta(hours=6)
    assert company.patched == set(company.places)
    (renewal,) = company.renewals
    assert [f.package for f in renewal.fixes] == ["openssl"]
    assert all(step.by == SCHEDULE for step in company.steps(Move) if isinstance(step, Move))


def test_while_nothing_is_pending_nothing_is_deployed() -> None:
    """For a hundred days; each month the bases are built anew, and are what they were."""
    company = Company()
    company.live(100 * DAY)
    assert company.moved == [] and company.steps(Stop) == []
    assert {renewal.before == renewal.after for renewal in company.renewals} == {True}
    asked = [at for at, step in company.log if isinstance(step, Renew)]
    assert [(at.month, at.day, at.hour) for at in asked] == [(4, 1, 3), (5, 1, 3), (6, 1, 3)]


def test_each_month_what_is_no_fix_of_security_goes_in_too() -> None:
    """And not before."""
    company = Company()
    company.newer = 1
    company.live(20 * DAY)
    assert company.moved == []
    company.live(5 * DAY)
    assert company.moved == [(name, "hello") for name in ENVIRONMENTS]


@pytest.mark.parametrize("outcome", [RolledBack("the canary failed"), Aborted("ada")])
def test_what_failed_stops_there_until_another_fix_comes(outcome: Outcome) -> None:
    """People are told once; what comes after it waits, and the same fixes are not tried again."""
    company = Company(ends=lambda place, release: outcome if (place[0], release) == ("dev", 2) else Promoted())
    company.archive.append(fix("openssl"))
    company.live(9 * DAY)
    assert company.moved == [("dev", "hello")]
    (stop,) = company.steps(Stop)
    assert isinstance(stop, Stop) and (stop.environment, stop.release) == ("dev", 2)
    company.archive.append(fix("zlib"))
    company.live(DAY)
    assert company.moved == [("dev", "hello"), *((name, "hello") for name in ENVIRONMENTS)]
    assert company.patched == set(company.places)


def test_one_service_that_failed_keeps_the_others_of_its_environment_from_nothing() -> None:
    """The next environment waits for all of them."""
    places = (("dev", "bad"), ("dev", "good"), ("staging", "good"))
    company = Company(places=places, ends=lambda place, _: RolledBack("no") if place[1] == "bad" else Promoted())
    company.archive.append(fix("openssl"))
    company.live(3 * DAY)
    assert company.moved == [("dev", "bad"), ("dev", "good")]


def test_what_a_person_took_back_is_not_brought_again() -> None:
    """Going back to the release before is a word, too. A newer release is another matter."""
    company = Company(places=(("dev", "hello"),))
    company.archive.append(fix("openssl"))
    company.live(3 * HOUR)
    assert company.served["dev", "hello"].release == 2
    company.serve(("dev", "hello"), 1)
    company.live(DAY)
    (stop,) = company.steps(Stop)
    assert isinstance(stop, Stop) and "taken back" in stop.why and len(company.attempts) == 1
    company.deploy(("dev", "hello"), digest(0))
    company.live(3 * HOUR)
    assert company.patched == {("dev", "hello")}


def test_a_rollout_of_a_person_goes_first() -> None:
    """Its warm time included; then what it brought is patched."""
    company = Company(places=(("dev", "hello"),))
    company.served["dev", "hello"] = structs.replace(company.served["dev", "hello"], busy="ada")
    company.archive.append(fix("openssl"))
    company.live(5 * HOUR)
    assert company.moved == []
    assert any(isinstance(step, Hold) and "by ada goes first" in step.why for _, step in company.log)
    company.deploy(("dev", "hello"), digest(0))
    company.live(HOUR)
    assert company.moved == [("dev", "hello")] and company.patched == {("dev", "hello")}


def test_a_newer_release_that_took_its_place_is_patched_instead() -> None:
    """Being superseded is no failure."""
    company = Company(places=(("dev", "hello"),), ends=lambda _, release: Superseded(3) if release == 2 else Promoted())
    company.archive.append(fix("openssl"))
    company.live(HOUR + timedelta(minutes=25))
    company.deploy(("dev", "hello"), digest(0))
    company.live(2 * HOUR)
    assert company.steps(Stop) == [] and company.patched == {("dev", "hello")}


def test_an_environment_that_is_not_well_holds_the_next_one() -> None:
    """Until it is."""
    company = Company(places=(("dev", "hello"), ("production", "hello")))
    company.archive.append(fix("openssl"))
    company.live(2 * HOUR)
    company.served["dev", "hello"] = structs.replace(company.served["dev", "hello"], healthy=False)
    company.live(5 * HOUR)
    assert company.moved == [("dev", "hello")]
    company.served["dev", "hello"] = structs.replace(company.served["dev", "hello"], healthy=True)
    company.live(HOUR)
    assert company.patched == set(company.places)


def test_what_is_off_does_nothing_until_somebody_asks() -> None:
    """Then it does all of it, once."""
    company = Company(Timetable(every=None))
    company.archive.append(fix("openssl"))
    company.live(60 * DAY)
    assert company.moved == [] and company.renewals == []
    company.agenda = structs.replace(company.agenda, asked=Asked("ada"))
    company.live(2 * DAY)
    assert company.patched == set(company.places)
    assert [step.by for step in company.steps(Renew) if isinstance(step, Renew)] == ["ada"]


def test_a_recipe_that_wants_no_fixes_is_asked_again_and_never_in_a_loop() -> None:
    """Once for each time that the suite is asked; when it wants them, they come."""
    company = Company(Timetable(every=Duration.parse("6h"), day=0), deaf=True)
    company.archive.append(fix("openssl"))
    company.live(2 * DAY)
    assert company.moved == [] and len(company.renewals) == 7
    company.deaf = False
    company.live(DAY)
    assert company.patched == set(company.places)


def test_who_asks_for_another_base_gets_nothing() -> None:
    """A name that nothing stands on asks for no renewal."""
    company = Company(Timetable(every=None))
    company.agenda = structs.replace(company.agenda, asked=Asked("ada", "large"))
    company.live(DAY)
    assert company.renewals == [] and company.agenda.asked is None


def test_environments_that_are_not_named_come_last() -> None:
    """A name that nobody has thought of may be the most important one."""
    company = Company(Timetable(environments=("dev",)), places=(("alpha", "hello"), ("dev", "hello")))
    company.archive.append(fix("openssl"))
    company.live(DAY)
    assert company.moved == [("dev", "hello"), ("alpha", "hello")]


@pytest.mark.parametrize(
    ("at", "day", "then"),
    [
        (datetime(2026, 3, 10, 12, tzinfo=UTC), 1, datetime(2026, 4, 1, 3, tzinfo=UTC)),
        (datetime(2026, 3, 10, 12, tzinfo=UTC), 10, datetime(2026, 4, 10, 3, tzinfo=UTC)),
        (datetime(2026, 3, 10, 2, tzinfo=UTC), 10, datetime(2026, 3, 10, 3, tzinfo=UTC)),
        (datetime(2026, 12, 28, 3, tzinfo=UTC), 28, datetime(2027, 1, 28, 3, tzinfo=UTC)),
        (datetime(2026, 12, 28, 3, tzinfo=UTC), 0, None),
    ],
)
def test_the_next_month_is_never_now(at: datetime, day: int, then: datetime | None) -> None:
    """A look on the day itself does not lead to another one."""
    assert month_after(at, Timetable(day=day)) == then


@settings(max_examples=60, deadline=None)
@given(
    fixes=st.lists(st.integers(0, 40), max_size=4),
    dice=st.lists(st.sampled_from([Promoted(), Promoted(), RolledBack("no"), Superseded(9)]), min_size=8, max_size=8),
    restarts=st.sets(st.integers(0, 400)),
)
def test_whatever_happens_it_is_one_at_a_time_and_comes_to_rest(
    fixes: list[int], dice: list[Outcome], restarts: set[int]
) -> None:
    """Fixes at any hour, rollouts that end in any way, and a memory that is lost between any two looks."""
    company = Company(Timetable(soak=seconds(600), every=Duration.parse("2h")))
    company.ends = lambda place, release: dice[(len(place[0]) + release) % len(dice)]
    due = sorted(START + hour * HOUR for hour in fixes)
    for number in range(25_000):
        if number in restarts:
            company.agenda = Agenda(company.timetable)
        while due and due[0] <= company.at:
            company.archive.append(fix(f"package-{len(company.archive)}", due.pop(0)))
        company.turn()  # checks each move
        if company.at > START + 4 * DAY:
            break
    failed = [(a.environment, a.service, a.after) for a in company.attempts if isinstance(a.outcome, RolledBack)]
    assert len(failed) == len(set(failed)), "the same was tried again"
    assert not due and company.at > START + 3 * DAY, "it never rests"
