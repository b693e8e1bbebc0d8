"""A world in memory and in the open: fleets, gateways and a clock that a test can hurt in every way it likes.

It is a model, not a provider: it remembers what is *true*, so that a test can compare it with what was decided.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec import structs

from bleen.domain.check import CheckResult
from bleen.domain.comparison import comparison
from bleen.domain.decide import advance, applied, decide, measured
from bleen.domain.decision import Decision, Done, Launch, Measure, Retire, Shift
from bleen.domain.fleet import Fleet, Instance, InstanceState, Slot
from bleen.domain.freeze import Closed
from bleen.domain.laws import check
from bleen.domain.plan import Intent, plan
from bleen.domain.rollout import Observation, ReleaseRef, Rollout
from bleen.domain.service import BlueGreen, Strategy
from bleen.domain.traffic import BackendSeen, Colour, Endpoint, EndpointSeen, GatewaySeen, Route, place
from bleen.domain.verdict import Assessment, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
REGION = "local"


def ref(number: int) -> ReleaseRef:
    """Return release ``number``."""
    return ReleaseRef(number=number, version=f"1.{number}", image=DIGEST)


@dataclass
class FleetState:
    """A fleet as it is."""

    release: int
    size: int
    states: list[InstanceState] = field(default_factory=list)
    restarts: int = 0

    @property
    def ready(self) -> int:
        return sum(s is InstanceState.READY for s in self.states)


@dataclass
class World:
    """One service, one region, any number of gateways. ``bad`` releases never become ready."""

    gateways: int = 1
    now: datetime = START
    fleets: dict[Colour, FleetState] = field(default_factory=dict)
    beside: dict[Colour, FleetState] = field(default_factory=dict)
    """Baseline fleets, by the colour that they are beside."""
    routes: list[Route | None] = field(default_factory=list)
    silent: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)
    failing_checks: bool = False
    verdict: Verdict | None = None
    """What the traffic says, while it is asked; None: nobody counts."""
    log: list[Decision] = field(default_factory=list)
    closed: Closed | None = None
    """Why no rollout may begin."""

    def __post_init__(self) -> None:
        self.routes = [None] * self.gateways

    # ---- what happens ----

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass: instances of good releases become ready, those of bad ones crash."""
        self.now += timedelta(seconds=seconds)
        for fleet in (*self.fleets.values(), *self.beside.values()):
            fleet.states += [InstanceState.STARTING] * (fleet.size - len(fleet.states))
            del fleet.states[fleet.size :]
            if fleet.release in self.bad:
                fleet.restarts += fleet.size
            else:
                fleet.states = [InstanceState.READY] * fleet.size

    def observe(self) -> Observation:
        """Return what can be seen now."""
        return Observation(at=self.now, fleets=tuple(self._fleets()), gateways=tuple(self._gateways()), closed=self.closed)

    def watched(self, rollout: Rollout) -> Observation:
        """Return what a watch sees: what can be seen, and what the traffic shows."""
        seen, asked = self.observe(), comparison(rollout)
        if asked is None or self.verdict is None:
            return seen
        figures = Assessment(at=self.now, verdict=self.verdict, step=asked.step, requests=100, compared=900, rate=10.0)
        return structs.replace(seen, assessment=figures)

    def do(self, rollout: Rollout, decision: Decision) -> Rollout:
        """Carry ``decision`` out as the workflow does."""
        self.log.append(decision)
        match decision:
            case Launch(colour, release, size):
                place = self.beside if decision.baseline else self.fleets
                fleet = place.setdefault(colour, FleetState(release, size))
                assert fleet.release == release, "a launch into a slot that another release holds"
                fleet.size = size
            case Shift(route):
                for i in range(self.gateways):
                    if i not in self.silent:
                        self.routes[i] = route
            case Retire(colour, release):
                self.retire(colour, release, baseline=decision.baseline)
            case Measure(when, checks):
                passed = not self.failing_checks
                results = tuple(CheckResult(f"check {i}", when, passed, "200", self.now) for i in range(len(checks)))
                return measured(rollout, results)
            case _:
                pass
        return applied(rollout, decision, self.now)

    def retire(self, colour: Colour, release: int, *, baseline: bool = False) -> None:
        """End a fleet, and fail the test where a gateway, even a silent one, still names it."""
        for route in self.routes:
            named = route is not None and route.names(colour, release, baseline=baseline)
            assert not named, f"{place(colour, baseline)} r{release} was retired while a gateway names it"
        there = self.beside if baseline else self.fleets
        if colour in there and there[colour].release == release:
            del there[colour]

    def turn(self, rollout: Rollout) -> tuple[Rollout, Decision]:
        """Observe, decide, check the laws, act: one turn of the workflow."""
        seen = self.watched(rollout)
        rollout = advance(rollout, seen, self.now)
        decision = decide(rollout, seen, self.now)
        check(rollout, seen, decision)
        return self.do(rollout, decision), decision

    def run(self, rollout: Rollout, *, turns: int = 200, seconds: float = 1.0) -> Rollout:
        """Take turns until the rollout is done; fail where it never is."""
        for _ in range(turns):
            rollout, decision = self.turn(rollout)
            if isinstance(decision, Done):
                return rollout
            self.tick(seconds)
        raise AssertionError(f"not done after {turns} turns; the last decisions: {self.log[-3:]}")

    # ---- what tests start from ----

    def begin(
        self, number: int, strategy: Strategy | None = None, *, size: int = 2, trusted: bool = False, exempt: str = ""
    ) -> Rollout:
        """Return the plan of a rollout to release ``number``."""
        intent = Intent(
            id=f"dev/hello/{number}",
            environment="dev",
            service="hello",
            hosts=("hello.localhost",),
            regions=(REGION,),
            target=ref(number),
            strategy=strategy or BlueGreen(),
            size=size,
            by="ada",
            trusted=trusted,
            exempt=exempt,
        )
        return plan(intent, {n: ref(n) for n in range(1, 50)}, self.observe(), self.now)

    def deployed(self, number: int = 1, **options: int) -> "World":
        """Return this world with release ``number`` deployed and everything else cleaned up."""
        self.run(self.begin(number, **options), seconds=60)
        self.log.clear()
        return self

    # ---- what is true ----

    def serving(self) -> set[int]:
        """Return the releases that some gateway gives weight to."""
        return {
            release
            for route in self.routes
            if route is not None
            for colour in Colour
            if route.split.weight(colour) > 0 and (release := route.release(colour)) is not None
        }

    def _fleets(self) -> list[Fleet]:
        return [self._fleet(*there) for there in self._there()]

    def _there(self) -> list[tuple[Colour, FleetState, bool]]:
        own = [(colour, state, False) for colour, state in self.fleets.items()]
        return own + [(colour, state, True) for colour, state in self.beside.items()]

    def _fleet(self, colour: Colour, state: FleetState, baseline: bool) -> Fleet:
        instances = tuple(
            Instance(
                name=f"hello-{place(colour, baseline)}-r{state.release}-{i}",
                address=f"127.1.{list(Colour).index(colour) + 2 * baseline}.{i + 1}",
                port=8080,
                state=s,
                since=START,
                restarts=state.restarts // max(1, len(state.states)),
                last_exit="exit 1" if state.restarts else "",
            )
            for i, s in enumerate(state.states)
        )
        slot = Slot(environment="dev", region=REGION, service="hello", colour=colour, baseline=baseline)
        return Fleet(slot=slot, release=state.release, size=state.size, instances=instances)

    def _gateways(self) -> list[GatewaySeen]:
        return [
            GatewaySeen(gateway=f"g{i}", region=REGION, answered=False)
            if i in self.silent
            else GatewaySeen(gateway=f"g{i}", region=REGION, answered=True, route=route, backends=self._backends())
            for i, route in enumerate(self.routes)
        ]

    def _backends(self) -> tuple[BackendSeen, ...]:
        return tuple(
            BackendSeen(
                colour=colour,
                release=state.release,
                endpoints=tuple(
                    EndpointSeen(Endpoint(f"127.1.0.{i}", 8080), s is InstanceState.READY, 0)
                    for i, s in enumerate(state.states)
                ),
                baseline=baseline,
            )
            for colour, state, baseline in self._there()
        )


def arrive(world: World, rollout: Rollout, kind: type, *, turns: int = 60) -> Rollout:
    """Take turns until the rollout is at a step of ``kind``, and has been looked at there."""
    for _ in range(turns):
        rollout, _ = world.turn(rollout)
        if isinstance(rollout.current, kind):
            return rollout
        world.tick()
    raise AssertionError(f"no {kind.__name__}: {world.log[-3:]}")
