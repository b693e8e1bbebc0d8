"""A rollout: one service in one environment going from one release to another."""

from datetime import datetime, timedelta

from msgspec import structs

from bleen.domain.check import CheckResult, CheckTime
from bleen.domain.codec import Tagged, Value
from bleen.domain.fleet import Fleet
from bleen.domain.freeze import Closed
from bleen.domain.image import Digest
from bleen.domain.service import Canary, Strategy
from bleen.domain.strategy import Analyse, OpenCohort, RunChecks, SetMirror, SetWeight, StartFleet, Step, Watch
from bleen.domain.traffic import WHOLE, Baseline, Cohort, Colour, GatewaySeen, Mirror, Route, Split, Sticky
from bleen.domain.verdict import Assessment, Verdict


class Promoted(Tagged, frozen=True):
    """The new release is the stable one."""


class RolledBack(Tagged, frozen=True):
    """The release failed, or a person went back: the old one has all traffic."""

    reason: str


class Aborted(Tagged, frozen=True):
    """A person stopped it; the old release has all traffic."""

    by: str


class Superseded(Tagged, frozen=True):
    """A newer release took its place."""

    by: int


class Failed(Tagged, frozen=True):
    """It failed and there was nothing to go back to; what runs was left running."""

    reason: str


Outcome = Promoted | RolledBack | Aborted | Superseded | Failed


class ReleaseRef(Value, frozen=True):
    """A release by number, with what people and laws ask of it."""

    number: int
    version: str
    image: Digest

    @property
    def name(self) -> str:
        return f"r{self.number}"


class Judged(Value, frozen=True):
    """How a measurement ended."""

    step: int
    """Its place among the steps, counted from 0."""
    verdict: Verdict | None
    """None where a person went on before there was one."""
    at: datetime
    by: str = ""
    """Who went on without a pass; empty where the traffic said yes."""


class Rollout(Value, frozen=True):
    """The plan of a rollout and how far it has come. Everything that `decide` knows, except what is seen."""

    id: str
    """``dev/hello/7``: environment, service, and a number per service and environment."""
    environment: str
    service: str
    hosts: tuple[str, ...]
    regions: tuple[str, ...]
    target: ReleaseRef
    target_colour: Colour
    stable: ReleaseRef | None
    """The release to go back to; None on the first deployment."""
    size: int
    """Instances of the new fleet, once it is at full size."""
    stable_size: int
    strategy: Strategy
    steps: tuple[Step, ...]
    by: str
    """Who asked for it."""
    started: datetime
    step: int = 0
    step_since: datetime | None = None
    """When the current step began; pauses are taken out of it."""
    acted: datetime | None = None
    """When the last decision was carried out: what was seen before says nothing about now."""
    paused_since: datetime | None = None
    paused_by: str = ""
    approved_by: str = ""
    full_by: str = ""
    """Who promoted it past checks and approval; empty where nobody did."""
    results: tuple[CheckResult, ...] = ()
    assessment: Assessment | None = None
    """What its traffic has shown so far; None where nothing was measured yet."""
    verdicts: tuple[Judged, ...] = ()
    """Of every measurement that is over."""
    retreat: Outcome | None = None
    """Set once it goes back: the outcome that it will have."""
    outcome: Outcome | None = None
    """Set once it is settled and observed; later phases only clean up."""
    settled: datetime | None = None
    successor: int | None = None
    """The release that waits for this rollout to end."""
    asked: datetime | None = None
    """When its deployment was asked for, by the engine's clock; None where it takes no turn."""
    admitted: bool = True
    """False: it was made where no rollout may begin, and has not begun."""
    exempt: str = ""
    """Why no freeze keeps it: it goes back, or who overrode it and why; empty where one does."""
    held_since: datetime | None = None
    """Since when a freeze holds it: its step is done, and the next one has not begun."""

    @property
    def stable_colour(self) -> Colour:
        return self.target_colour.other

    @property
    def current(self) -> Step | None:
        """The step that it is at; None past the last."""
        return self.steps[self.step] if self.step < len(self.steps) else None

    @property
    def since(self) -> datetime:
        return self.step_since or self.started

    @property
    def weight(self) -> int:
        """The weight that the new release was last to have, in hundredths of a percent."""
        return next((s.weight for s in reversed(self._begun) if isinstance(s, SetWeight)), 0)

    @property
    def cohorts(self) -> tuple[Cohort, ...]:
        """Who reaches the new release by now, whatever its weight."""
        return tuple(s.cohort for s in self._begun if isinstance(s, OpenCohort))

    @property
    def mirror(self) -> Mirror | None:
        """What is copied to the new release by now."""
        last = next((s.mirror for s in reversed(self._begun) if isinstance(s, SetMirror)), None)
        return last if last and last.share else None

    @property
    def fair(self) -> bool:
        """Whether there is to be a baseline fleet by now: of the stable release, as young and as large as the new fleet."""
        return self.measured and any(isinstance(s, StartFleet) and s.baseline for s in self._begun)

    @property
    def baseline(self) -> Baseline | None:
        """What the baseline fleet is to have by now: as many requests as the new release, and no more than there are."""
        asked = max(self.weight, self.mirror.share if self.mirror else 0)
        share = min(asked, WHOLE - self.weight)
        return Baseline(self.stable_colour, share) if self.fair and share else None

    @property
    def _begun(self) -> tuple[Step, ...]:
        return self.steps[: self.step + 1]

    @property
    def watched(self) -> bool:
        """Whether the traffic may roll it back now."""
        return self.measured and (isinstance(self.current, Analyse) or any(isinstance(step, Watch) for step in self._begun))

    @property
    def measured(self) -> bool:
        """Whether its traffic says anything: there is a release to compare it with, and nobody has decided yet."""
        going = self.retreat is None and not self.full_by
        return isinstance(self.strategy, Canary) and self.stable is not None and going

    def judged(self, step: int) -> bool:
        """Return whether the measurement at ``step`` ended with a pass, or a person answered for it."""
        return any(j.step == step for j in self.verdicts)

    def checks_done(self, step: RunChecks) -> bool:
        """Return whether every check of ``step`` has passed."""
        done = [r for r in self.results if r.when is step.when and r.place == step.place]
        return len(done) >= len(step.checks) and all(r.passed for r in done)

    def failed_check(self, when: CheckTime | None = None) -> CheckResult | None:
        """Return the first check that failed, if one did."""
        return next((r for r in self.results if not r.passed and when in (None, r.when)), None)

    def route(self, colour: Colour, *, weight: int = WHOLE, listed: tuple[Colour, ...] | None = None) -> Route:
        """Return the route that gives ``colour`` ``weight`` and the other colour the rest.

        ``listed`` are the colours that it may name, by default both; the idle one among them is the preview.
        """
        names = self.colours if listed is None else listed
        idle = self.target_colour if weight < WHOLE else colour.other
        tried = self.retreat is None and idle is self.target_colour and idle in names
        split = Split.of(colour, weight)
        beside = tried and self.stable_colour in names and split.weight(self.target_colour) == self.weight
        return Route(
            environment=self.environment,
            service=self.service,
            hosts=self.hosts,
            split=split,
            blue=self.number(Colour.BLUE) if Colour.BLUE in names else None,
            green=self.number(Colour.GREEN) if Colour.GREEN in names else None,
            preview=idle if idle in names else None,
            cohorts=self.cohorts if tried else (),
            mirror=self.mirror if tried else None,
            sticky=self._sticky if tried and 0 < weight < WHOLE else None,
            baseline=self.baseline if beside else None,
        )

    @property
    def _sticky(self) -> Sticky | None:
        wanted = self.strategy.affinity if isinstance(self.strategy, Canary) else None
        return Sticky(wanted.cookie, round(wanted.lifetime.total_seconds()), self.target_colour) if wanted else None

    @property
    def colours(self) -> tuple[Colour, ...]:
        """The slots that this rollout fills."""
        return (self.target_colour, self.stable_colour) if self.stable else (self.target_colour,)

    def number(self, colour: Colour) -> int | None:
        """Return the release that this rollout wants in the slot of ``colour``."""
        if colour is self.target_colour:
            return self.target.number
        return self.stable.number if self.stable else None

    @property
    def rests(self) -> bool:
        """Whether it was told to wait, by a person or by a freeze: then no deadline of its step counts."""
        return self.paused_since is not None or self.held_since is not None

    def resumed(self, now: datetime) -> "Rollout":
        """Return it running again, the time of a pause or a freeze taken out of its step."""
        if not self.rests:
            return self
        rested = min(since for since in (self.paused_since, self.held_since) if since is not None)
        return structs.replace(
            self,
            paused_since=None,
            paused_by="",
            held_since=None,
            step_since=self.since + max(now - rested, timedelta()),
        )


class Observation(Value, frozen=True):
    """What was *seen* of one service at one moment. Never what was intended."""

    at: datetime
    fleets: tuple[Fleet, ...]
    gateways: tuple[GatewaySeen, ...]
    hosts_answered: bool = True
    """False when the machines could not be asked: then ``fleets`` says nothing."""
    assessment: Assessment | None = None
    """What the traffic has shown up to now; None where nobody counted."""
    closed: Closed | None = None
    """Why no rollout may begin in its environment now; None where one may."""

    def fleet(self, colour: Colour, region: str, *, baseline: bool = False) -> Fleet | None:
        """Return the fleet in that slot, if one is there."""
        wanted = (colour, region, baseline)
        return next((f for f in self.fleets if (f.slot.colour, f.slot.region, f.slot.baseline) == wanted), None)

    @property
    def beside(self) -> Fleet | None:
        """A baseline fleet, if one is there."""
        return next((f for f in self.fleets if f.slot.baseline), None)

    def ready(self, colour: Colour, release: int, *, baseline: bool = False) -> int:
        """Return the fewest ready instances of ``release`` that a region with a gateway has."""
        regions = {g.region for g in self.gateways}
        fleets = (self.fleet(colour, region, baseline=baseline) for region in regions)
        return min((f.ready if f and f.release == release else 0 for f in fleets), default=0)

    def healthy(self, colour: Colour, release: int, *, baseline: bool = False) -> int:
        """Return the fewest healthy instances of ``release`` that a gateway sees; 0 where one sees none."""
        wanted = (colour, release, baseline)
        counts = [
            sum(b.healthy for b in g.backends if (b.colour, b.release, b.baseline) == wanted) if g.answered else 0
            for g in self.gateways
        ]
        return min(counts, default=0)

    def capacity(self, colour: Colour, release: int, *, baseline: bool = False) -> int:
        """Return how many instances can serve: ready on their machines, and healthy to every gateway."""
        return min(self.ready(colour, release, baseline=baseline), self.healthy(colour, release, baseline=baseline))

    @property
    def silent(self) -> tuple[str, ...]:
        """The gateways that did not answer: what they route is unknown."""
        return tuple(g.gateway for g in self.gateways if not g.answered)

    @property
    def routes(self) -> tuple[Route | None, ...]:
        """The route of every gateway that answered."""
        return tuple(g.route for g in self.gateways if g.answered)

    def everywhere(self, route: Route) -> bool:
        """Return whether every gateway answered and reports exactly ``route``."""
        return bool(self.gateways) and not self.silent and all(r == route for r in self.routes)

    def serves(self, colour: Colour, release: int) -> bool:
        """Return whether every gateway answered and reports all traffic on ``release`` in ``colour``."""
        return self.gives(colour, release, WHOLE)

    def gives(self, colour: Colour, release: int, weight: int) -> bool:
        """Return whether every gateway answered and reports exactly ``weight`` on ``release`` in ``colour``."""
        return not self._unsure and all(
            r is not None and r.split.weight(colour) == weight and r.release(colour) == release for r in self.routes
        )

    def reaches(self, colour: Colour, release: int) -> bool:
        """Return whether ``release`` answers at every gateway: on the preview host, or with a weight."""
        return not self._unsure and all(
            r is not None and r.release(colour) == release and (r.preview is colour or r.split.weight(colour) > 0)
            for r in self.routes
        )

    def may_name(self, colour: Colour, release: int, *, baseline: bool = False) -> bool:
        """Return whether some gateway names ``release`` in ``colour``, or might: silence counts as yes."""
        return self._unsure or any(r is not None and r.names(colour, release, baseline=baseline) for r in self.routes)

    def may_serve(self, colour: Colour, release: int) -> bool:
        """Return whether some gateway gives ``release`` weight, or might: silence counts as yes."""
        return self._unsure or any(
            r is not None and r.release(colour) == release and r.split.weight(colour) > 0 for r in self.routes
        )

    def knows(self, colour: Colour, release: int) -> bool:
        """Return whether every gateway answered and has the backend of ``release``."""
        wanted = (colour, release, False)
        return not self._unsure and all(
            any((b.colour, b.release, b.baseline) == wanted for b in g.backends) for g in self.gateways
        )

    @property
    def _unsure(self) -> bool:
        return not self.gateways or bool(self.silent)
