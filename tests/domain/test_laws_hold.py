"""The laws under everything that can go wrong: the controller dies between any two lines, machines crash, gateways fall
silent or apply a split late, twice or not at all, observations are old, people give commands at the worst moment.

The machine compares what was decided with what is *true* in the world, not with what was reported.
"""

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from bleen.domain.canary import (
    Affinity,
    CheckStep,
    HeaderStep,
    Hold,
    JudgeStep,
    Measure,
    MirrorStep,
    Preset,
    Resize,
    Unsure,
    Weight,
)
from bleen.domain.check import HttpCheck
from bleen.domain.codec import decode, encode
from bleen.domain.command import Abort, Advance, Exempt, GoBack, Pause, Resume, Scale, Supersede, accept
from bleen.domain.decide import advance, decide
from bleen.domain.decision import Decision, Done, Promote, Retire, Shift
from bleen.domain.duration import seconds
from bleen.domain.errors import NothingToDo
from bleen.domain.fleet import InstanceState
from bleen.domain.freeze import Closed
from bleen.domain.laws import check
from bleen.domain.rollout import Observation, Rollout
from bleen.domain.service import BlueGreen, Canary, Checks, Strategy
from bleen.domain.strategy import Analyse
from bleen.domain.traffic import WHOLE, Colour
from bleen.domain.verdict import Cause, Fail, Inconclusive, Pass, Verdict
from tests.domain.world import World

STRATEGIES = st.builds(
    BlueGreen,
    auto_promote=st.booleans(),
    auto_promote_after=st.sampled_from([None, seconds(5)]),
    preview_instances=st.sampled_from([None, 1]),
    warm=st.sampled_from([seconds(0), seconds(10), seconds(600)]),
    abort_delay=st.sampled_from([seconds(0), seconds(5)]),
    progress_deadline=st.just(seconds(120)),
    checks=st.sampled_from([Checks(), Checks(before=(HttpCheck("/"),), after=(HttpCheck("/"),))]),
)
CANARIES = st.builds(
    Canary,
    preset=st.sampled_from(list(Preset)),
    steps=st.sampled_from(
        [
            (),
            (
                HeaderStep("x-team", "beta"),
                CheckStep((HttpCheck("/"),)),
                Weight(0.0),
                MirrorStep(50.0),
                Hold(seconds(5)),
                Weight(25.0),
                Resize(3),
                JudgeStep("Good?", seconds(60)),
                Weight(60.0),
                Measure(seconds(30)),
                Hold(),
                Weight(100.0),
            ),
        ]
    ),
    inconclusive=st.sampled_from([None, Unsure.ASK, Unsure.ROLLBACK]),
    affinity=st.sampled_from([None, Affinity()]),
    baseline=st.booleans(),
    warm=st.sampled_from([seconds(0), seconds(600)]),
    abort_delay=st.sampled_from([seconds(0), seconds(5)]),
    progress_deadline=st.just(seconds(120)),
    checks=st.sampled_from([Checks(), Checks(before=(HttpCheck("/"),), after=(HttpCheck("/"),))]),
)
VERDICTS = st.sampled_from([None, Pass("good"), Fail("errors", "bad"), *(Inconclusive(cause, "so far") for cause in Cause)])
COLOURS = st.sampled_from(list(Colour))


class Storm(RuleBasedStateMachine):
    """One rollout after the other in a world that goes wrong all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(gateways=2)
        self.rollout: Rollout | None = None
        self.number = 1
        self.old: Observation | None = None
        self.past: list[Rollout] = []
        """The rollout after each turn since the last command: a command is never forgotten."""

    @initialize(size=st.integers(1, 3))
    def a_service_runs(self, size: int) -> None:
        self.world.deployed(1, size=size)
        self.size = size

    # ---- the controller ----

    @precondition(lambda self: self.rollout is None and not self.world.silent)
    @rule(strategy=STRATEGIES | CANARIES, size=st.integers(1, 3))
    def deploy(self, strategy: Strategy, size: int) -> None:
        self._deployed(strategy, size)

    def _deployed(self, strategy: Strategy, size: int) -> None:
        self.number += 1
        try:
            self.rollout = self.world.begin(self.number, strategy, size=size)
            self.past = [self.rollout]
        except NothingToDo:
            self.rollout = None

    @precondition(lambda self: self.rollout is not None)
    @rule()
    def turn(self) -> None:
        self._decided(self._watched(), act=True, keep=True)

    @precondition(lambda self: self.rollout is not None)
    @rule(count=st.integers(2, 8))
    def some_turns(self, count: int) -> None:
        """A stretch without surprises, so that the surprises come at every depth."""
        for _ in range(count):
            if self.rollout is not None:
                self._decided(self._watched(), act=True, keep=True)
                self.world.tick()

    @precondition(lambda self: self.rollout is not None)
    @rule()
    def die_after_acting(self) -> None:
        """The act is done and the controller forgets that it did it: it will do it again."""
        self._decided(self._watched(), act=True, keep=False)

    @precondition(lambda self: len(self.past) > 1)
    @rule(back=st.integers(1, 10))
    def forget_some_turns(self, back: int) -> None:
        """The worker stalled: what it did within one task is done, and the engine knows of none of it."""
        del self.past[max(1, len(self.past) - back) :]
        self.rollout = self.past[-1]

    @precondition(lambda self: self.rollout is not None and self.old is not None)
    @rule()
    def turn_on_an_old_observation(self) -> None:
        assert self.old is not None and self.rollout is not None
        if self.rollout.acted is not None and self.old.at < self.rollout.acted:
            self._decided(self.old, act=True, keep=True)

    @rule()
    def remember_what_is_seen(self) -> None:
        self.old = self.world.observe()

    @precondition(lambda self: self.rollout is not None)
    @rule(
        command=st.sampled_from(
            [
                Advance("a"),
                Advance("a", full=True),
                Pause("a"),
                Resume("a"),
                Exempt("a", "a hole is open"),
                Abort("a"),
                GoBack("a"),
                Scale("a", 2),
                Supersede("a", 99),
            ]
        )
    )
    def command(self, command: Advance | Pause | Resume | Exempt | Abort | GoBack | Scale | Supersede) -> None:
        assert self.rollout is not None
        try:
            self.rollout = accept(self.rollout, command, self.world.now)
            self.past = [self.rollout]
        except NothingToDo as refusal:
            assert refusal.what

    # ---- the world ----

    @rule(length=st.sampled_from([0.5, 3.0, 30.0, 700.0]))
    def time_passes(self, length: float) -> None:
        self.world.tick(length)

    @rule(
        colour=COLOURS,
        state=st.sampled_from([InstanceState.CRASHED, InstanceState.SICK]),
        whole=st.booleans(),
        beside=st.booleans(),
    )
    def instances_fail(self, colour: Colour, state: InstanceState, whole: bool, beside: bool) -> None:
        fleet = (self.world.beside if beside else self.world.fleets).get(colour)
        if fleet is not None:
            fleet.states = [state if whole or i == 0 else s for i, s in enumerate(fleet.states)]

    @rule(gateway=st.integers(0, 1))
    def a_gateway_falls_silent(self, gateway: int) -> None:
        self.world.silent.add(gateway)

    @rule()
    def gateways_answer_again(self) -> None:
        self.world.silent.clear()

    @rule(closed=st.sampled_from([None, Closed("frozen by ada: a fair", None, True), Closed("at night", None, False)]))
    def the_environment_opens_or_closes(self, closed: Closed | None) -> None:
        self.world.closed = closed

    @rule(bad=st.booleans())
    def checks_change(self, bad: bool) -> None:
        self.world.failing_checks = bad

    @rule(verdict=VERDICTS)
    def the_traffic_says(self, verdict: Verdict | None) -> None:
        self.world.verdict = verdict

    # ---- what must hold ----

    @invariant()
    def someone_serves(self) -> None:
        """Every gateway gives all its traffic to fleets that exist."""
        for route in self.world.routes:
            if route is None:
                continue
            assert route.split.blue + route.split.green == WHOLE
            for colour in Colour:
                if route.split.weight(colour) > 0:
                    release = route.release(colour)
                    fleet = self.world.fleets.get(colour)
                    assert fleet is not None and fleet.release == release, f"{route} and there is {fleet}"
                if route.carries(colour, baseline=True) > 0:
                    twin = self.world.beside.get(colour)
                    assert twin is not None and twin.release == route.release(colour), f"{route} and beside it is {twin}"

    def teardown(self) -> None:
        """Once nothing goes wrong any more, the rollout ends, and both gateways agree."""
        self.world.silent.clear()
        self.world.failing_checks = False
        self.world.verdict = None
        self.world.closed = None
        if self.rollout is not None:
            rollout = self.rollout.resumed(self.world.now)
            if not rollout.retreat and not rollout.outcome:
                rollout = accept(rollout, Advance("a", full=True), self.world.now)
            self.world.tick()
            self.world.run(rollout, seconds=60)
        assert len(set(self.world.routes)) == 1
        assert len(self.world.fleets) == 1 and not self.world.beside

    def _watched(self) -> Observation:
        return self.world.watched(self.rollout) if self.rollout is not None else self.world.observe()

    def _decided(self, seen: Observation, *, act: bool, keep: bool) -> None:
        assert self.rollout is not None
        restored = decode(encode(self.rollout), Rollout)
        assert restored == self.rollout, "a rollout is the same after a restart"
        rollout = advance(restored, seen, self.world.now)
        decision = decide(rollout, seen, self.world.now)
        assert decide(rollout, seen, self.world.now) == decision
        check(rollout, seen, decision)
        self._lawful(rollout, decision)
        if act:
            after = self.world.do(rollout, decision)
            self.world.now += timedelta(milliseconds=1)
            self.rollout = (after if keep else rollout) if not isinstance(decision, Done) else None
            self.past = [*self.past, self.rollout] if self.rollout is not None else []

    def _lawful(self, rollout: Rollout, decision: Decision) -> None:
        match decision:
            case Shift(route):
                for colour in Colour:
                    release = route.release(colour)
                    rising = any(r is None or r.split.weight(colour) < route.split.weight(colour) for r in self.world.routes)
                    if rising and release is not None:
                        assert self.world.fleets[colour].ready > 0, "weight for a fleet in which nothing is ready"
                    share = route.carries(colour, baseline=True)
                    if any(r is None or r.carries(colour, baseline=True) < share for r in self.world.routes):
                        assert self.world.beside[colour].ready > 0, "a part for a baseline fleet in which nothing is ready"
            case Promote(release):
                assert self.world.serving() == {release}
                measured = [i for i, step in enumerate(rollout.steps) if isinstance(step, Analyse)]
                good = {j.step for j in rollout.verdicts if isinstance(j.verdict, Pass) or j.by}
                assert rollout.full_by or good.issuperset(measured), "promoted, and neither the traffic nor a person said yes"
            case Retire(_, release):
                assert decision.baseline or release not in self.world.serving()
            case _:
                pass


class FairStorm(Storm):
    """The same, and every release has a baseline fleet beside it."""

    @precondition(lambda self: self.rollout is None and not self.world.silent)
    @rule(strategy=CANARIES, size=st.integers(1, 4))
    def deploy(self, strategy: Canary, size: int) -> None:
        self._deployed(structs.replace(strategy, baseline=True), size)


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=500, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
TestFairStorm = FairStorm.TestCase
TestFairStorm.settings = settings(TestStorm.settings, max_examples=200)
