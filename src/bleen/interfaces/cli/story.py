"""What the demo shows, act by act, and what it measured."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import structs

from bleen.domain.decision import Shift
from bleen.domain.errors import Unreachable
from bleen.domain.ledger import Decided
from bleen.domain.rollout import Aborted, Failed, Promoted, ReleaseRef, RolledBack, Superseded
from bleen.domain.told import named
from bleen.domain.traffic import WHOLE, Colour
from bleen.domain.views import RolloutSummary
from bleen.interfaces.cli.session import Session
from bleen.interfaces.client import Client
from bleen.interfaces.repository import LoadedService, find_service, runtime_of, with_version
from bleen.interfaces.repository.examples import examples_folder
from bleen.interfaces.views import GoBackOrder
from bleen.interfaces.words import outcome_words
from bleen.providers.load import Load, LoadProcess, Mode, Outcome, Sample
from bleen.workflows.messages import DeployRequest, Refused, Started

ENVIRONMENT, PERSON = "dev", "demo"
HELLO_RATE, DATASETTE_RATE = 300.0, 50.0
"""Requests a second: what two cores serve beside everything else of the story."""


WENT_BACK = "went back"
_WORDS: dict[type, str] = {
    Promoted: "promoted",
    RolledBack: "refused",
    Aborted: "aborted",
    Superseded: "superseded",
    Failed: "failed",
}


@dataclass
class Act:
    """One rollout of the story."""

    service: str
    origin: str
    target: str
    outcome: str
    as_expected: bool
    began: float
    """Times are of `time.perf_counter`, which every process of the machine shares."""
    ended: float
    shifted: float | None = None
    """When the shift of all traffic was decided; None where it never was."""
    release: str = ""
    """The release that traffic was to reach, ``r2``."""
    failed: int = 0

    @property
    def plain(self) -> dict[str, object]:
        return {
            "service": self.service,
            "from": self.origin,
            "to": self.target,
            "outcome": self.outcome,
            "failed_requests": self.failed,
            "seconds": round(self.ended - self.began, 2),
        }


@dataclass
class Report:
    """What came of it."""

    acts: list[Act]
    samples: dict[str, Sequence[Sample]]
    rollback_ms: float
    switch_ms: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(len(samples) for samples in self.samples.values())

    @property
    def failed(self) -> int:
        return sum(bool(s.failure) for samples in self.samples.values() for s in samples)

    @property
    def ok(self) -> bool:
        return self.failed == 0 and all(act.as_expected for act in self.acts) and bool(self.switch_ms)

    def plain(self) -> dict[str, object]:
        """Return the object that `bleen demo --json` prints."""
        switches = (
            {"median": round(median(self.switch_ms), 1), "max": round(max(self.switch_ms), 1)} if self.switch_ms else None
        )
        return {
            "ok": self.ok,
            "requests": self.requests,
            "failed_requests": self.failed,
            "switch_ms": switches,
            "rollback_ms": round(self.rollback_ms, 1),
            "rollouts": [act.plain for act in self.acts],
        }


class Teller:
    """Tells the story in plain lines, each with its time; says nothing with --json."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Tell what happens now."""
        if not self._session.json:
            self._session.say(f"{time.monotonic() - self._began:5.1f}s  {text}", " " * 8)

    def conclude(self, report: Report) -> None:
        """Print the report."""
        session = self._session
        session.say()
        head = ("SERVICE", "FROM", "TO", "OUTCOME", "FAILED", "SECONDS")
        session.table(head, [_row(act) for act in report.acts])
        session.say()
        plain = report.plain()
        session.say(f"requests          {report.requests}, of which {report.failed} failed")
        if report.switch_ms:
            switch = plain["switch_ms"]
            assert isinstance(switch, dict)
            session.say(f"switch            {switch['median']} ms from decision to first answer, at most {switch['max']} ms")
        session.say(f"rollback          {plain['rollback_ms']} ms from the word to the last request on the other release")
        session.say(f"verdict           {'all as it should be' if report.ok else 'NOT as it should be'}")
        session.say()
        session.say("now your own: bleen init myrepo, cd myrepo, bleen up, bleen deploy hello")


def _row(act: Act) -> tuple[str, ...]:
    return (act.service, act.origin, act.target, act.outcome, str(act.failed), f"{act.ended - act.began:.1f}")


class Story:
    """The acts."""

    def __init__(self, client: Client, gateway_port: int, teller: Teller) -> None:
        self._client = client
        self._port = gateway_port
        self._tell = teller
        self._acts: list[Act] = []
        self._wall = time.time() - time.perf_counter()
        self._hello, self._datasette = (find_service(examples_folder(), name) for name in ("hello", "datasette"))

    async def run(self) -> Report:
        """Play it all under traffic; return the report."""
        await self._open()
        loads = {
            "hello": LoadProcess(Load(self._port, HELLO_RATE, Mode.KEEP_ALIVE, host="hello.localhost")),
            "datasette": LoadProcess(
                Load(self._port, DATASETTE_RATE, Mode.NEW, host="datasette.localhost", path="/-/actor.json")
            ),
        }
        for load in loads.values():
            await load.start()
        self._tell.say(f"traffic begins: {HELLO_RATE:g} requests a second to hello, {DATASETTE_RATE:g} to datasette")
        try:
            await asyncio.sleep(1)
            await self._play()
            await asyncio.sleep(1)
        finally:
            outcomes = {name: await load.stop() for name, load in loads.items()}
        return self._report(outcomes)

    async def _open(self) -> None:
        self._tell.say("building images from PyPI and from a folder; kept for the next time")
        await self._deploy("hello 1.0", self._hello, expect=Promoted)
        await self._deploy("datasette 0.65.2", self._datasette, expect=Promoted)
        self._acts.clear()

    async def _play(self) -> None:
        newer = replace(self._datasette, service=with_version(self._datasette.service, "0.65.5"))
        broken = replace(self._datasette, service=with_version(self._datasette.service, "0.65.1"))
        await self._deploy("datasette 0.65.5, a real newer version", newer, expect=Promoted)
        await self._deploy("datasette 0.65.1, which does not start on this Python", broken, expect=RolledBack)
        await self._deploy("hello 2.0", _changed(self._hello, GREETING="Hello again"), expect=Promoted)
        await self._roll_back()
        bad = _changed(self._hello, GREETING="Oops", HELLO_ERROR_SHARE="0.3")
        await self._deploy("hello 3.0, which fails 30 % of its requests", bad, expect=RolledBack)
        meanwhile = asyncio.create_task(self._kill_the_controller())
        await self._deploy(
            "hello 4.0, and the controller is killed meanwhile",
            _changed(self._hello, GREETING="Hi", HELLO_SLOW_START="1.5"),
            expect=Promoted,
        )
        await meanwhile

    async def _deploy(self, title: str, loaded: LoadedService, *, expect: type) -> None:
        self._tell.say(f"deploy {title}")
        began, name = time.perf_counter(), loaded.service.service
        request = DeployRequest(
            environment=ENVIRONMENT,
            spec=loaded.service,
            runtime=runtime_of(loaded),
            folder=str(loaded.folder),
            by=PERSON,
        )
        result = await asyncio.to_thread(self._client.deploy, request)
        if isinstance(result, Refused):
            raise named(result.error)(result.what, why=result.why, next=result.next)
        assert isinstance(result, Started), "the demo begins with nothing deployed"
        number = result.release.number
        summary = await self._until(lambda: self._settled(name, number))
        self._note(summary, expect, began)

    async def _roll_back(self) -> None:
        self._tell.say("roll hello back, as if 2.0 had been a mistake")
        began = time.perf_counter()
        await asyncio.to_thread(self._client.rollback, ENVIRONMENT, "hello", GoBackOrder(PERSON))
        last = await self._until(lambda: next(s for s in self._history("hello") if isinstance(s.outcome, RolledBack)))
        self._tell.say(f"  {outcome_words(last.outcome)}" if last.outcome else "")
        self._acts.append(
            Act(
                service="hello",
                origin=_called(last.target),
                target=_called(last.origin),
                outcome=WENT_BACK,
                as_expected=True,
                began=began,
                ended=time.perf_counter(),
                release=last.target.name,
            )
        )

    async def _kill_the_controller(self) -> None:
        """End the controller without a warning, while a fleet starts; the host agent brings another one."""
        await asyncio.sleep(1.0)
        pid = next(p.pid for p in self._client.platform().parts if p.name == "controller")
        os.kill(pid, signal.SIGKILL)
        self._tell.say(f"kill -9 {pid}: the controller is gone; instances and gateway go on")

    # ---- what is seen ----

    def _history(self, service: str) -> Sequence[RolloutSummary]:
        return self._client.history(ENVIRONMENT, service).rollouts

    def _settled(self, service: str, number: int) -> RolloutSummary | None:
        last = next((s for s in self._history(service) if s.target.number == number), None)
        return last if last is not None and last.outcome is not None else None

    async def _until(self, question: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                answer = await asyncio.to_thread(question)
            except (Unreachable, StopIteration):
                answer = None  # the controller is on its way back
            if answer is not None:
                return answer
            await asyncio.sleep(0.05)
        raise Unreachable("the rollout did not settle in two minutes", next=f"look at {Path.cwd()}")

    def _note(self, summary: RolloutSummary, expect: type, began: float) -> None:
        assert summary.outcome is not None
        self._tell.say(f"  {outcome_words(summary.outcome)}")
        act = Act(
            service=summary.service,
            origin=_called(summary.origin),
            target=_called(summary.target),
            outcome=_WORDS[type(summary.outcome)],
            as_expected=isinstance(summary.outcome, expect),
            began=began,
            ended=time.perf_counter(),
            shifted=self._shifted(summary),
            release=summary.target.name,
        )
        self._acts.append(act)

    def _shifted(self, summary: RolloutSummary) -> float | None:
        """Return when all traffic was decided to go to the new release."""
        for line in self._client.explain(summary.id).lines:
            event = line.event
            if not isinstance(event, Decided) or not isinstance(event.decision, Shift):
                continue
            route = event.decision.route
            colour = next(c for c in Colour if route.split.weight(c) == WHOLE)
            if route.release(colour) == summary.target.number:
                return line.at.timestamp() - self._wall
        return None

    # ---- what was measured ----

    def _report(self, outcomes: dict[str, Outcome]) -> Report:
        report = Report(self._acts, {name: outcome.samples for name, outcome in outcomes.items()}, 0.0)
        for act in self._acts:
            samples = report.samples[act.service]
            act.failed = sum(bool(s.failure) for s in samples if act.began <= s.due <= act.ended)
            first = _first(samples, act)
            if act.shifted is not None and first is not None:
                report.switch_ms.append((first - act.shifted) * 1000)
        report.rollback_ms = self._last_on_the_other(report.samples["hello"])
        return report

    def _last_on_the_other(self, samples: Sequence[Sample]) -> float:
        """Return the time from the word to the last request that the release gone back from answered, in ms."""
        back = next(act for act in self._acts if act.outcome == WENT_BACK)
        after = [s.started for s in samples if s.answered_by == back.release and s.started >= back.began]
        before_next = [t for t in after if t <= back.ended + 1]
        return (max(before_next) - back.began) * 1000 if before_next else 0.0


def _first(samples: Sequence[Sample], act: Act) -> float | None:
    """Return when the first request that the new release answered was sent, once traffic was to reach it."""
    if act.shifted is None:
        return None
    reached = [s.started for s in samples if s.answered_by == act.release and act.shifted <= s.started <= act.ended + 1]
    return min(reached, default=None)


def _changed(loaded: LoadedService, **env: str) -> LoadedService:
    """Return the service with another environment: a new release."""
    return replace(loaded, service=structs.replace(loaded.service, env={**loaded.service.env, **env}))


def _called(release: ReleaseRef | None) -> str:
    """Return a release by its number, and by its version where that is one that people gave."""
    if release is None:
        return "-"
    given = any(not c.isalnum() for c in release.version)
    return f"{release.name} {release.version}" if given else release.name
