"""What the demo shows, act by act."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import structs

from bleen.domain.canary import Analysis, Measure, Tolerance, Weight
from bleen.domain.decision import Shift
from bleen.domain.duration import seconds
from bleen.domain.errors import Unreachable
from bleen.domain.ledger import Decided, Measured
from bleen.domain.rollout import Promoted, ReleaseRef, RolledBack
from bleen.domain.service import Canary
from bleen.domain.told import named
from bleen.domain.traffic import WHOLE, Colour
from bleen.domain.verdict import Assessment, Fail, Inconclusive, Pass
from bleen.domain.views import RolloutSummary
from bleen.interfaces.cli.acts import OUTCOMES, WENT_BACK, Act, Report, report
from bleen.interfaces.cli.deploy import fallen_back
from bleen.interfaces.cli.teller import Teller
from bleen.interfaces.client import Client
from bleen.interfaces.repository import LoadedService, find_service, runtime_of, with_version
from bleen.interfaces.repository.examples import examples_folder
from bleen.interfaces.verdicts import verdict_words
from bleen.interfaces.views import ExplainedLine, GoBackOrder
from bleen.interfaces.words import outcome_words
from bleen.providers.load import Load, LoadProcess, Mode, Sample
from bleen.workflows.messages import DeployRequest, Refused, Started

ENVIRONMENT, PERSON = "dev", "demo"
HELLO_RATE, DATASETTE_RATE, GREETER_RATE = 300.0, 50.0, 500.0
"""Requests a second: what two cores serve beside everything else of the story; greeter has them for itself."""
TRIED = Canary(
    steps=(Weight(30.0), Measure(seconds(60)), Weight(100.0)),
    analysis=Analysis(bake=seconds(3), warm_up=seconds(1), learn=seconds(5), slack=2.0, latency=Tolerance(ratio=3.0)),
)
"""For a story: with 2 % of failures tolerated beyond the ratio some hundred requests tell; the default asks for thousands.
Answers that take a millisecond are all noise beside everything else on this machine: three times as many may be slow."""


class Story:
    """The acts."""

    def __init__(self, client: Client, gateway_port: int, teller: Teller) -> None:
        self._client = client
        self._port = gateway_port
        self._tell = teller
        self._acts: list[Act] = []
        self._samples: dict[str, Sequence[Sample]] = {}
        self._wall = time.time() - time.perf_counter()
        self._hello, self._datasette, greeter = (find_service(examples_folder(), n) for n in ("hello", "datasette", "greeter"))
        self._greeter = replace(greeter, service=structs.replace(greeter.service, strategy=TRIED))

    async def run(self) -> Report:
        """Play it all under traffic; return the report."""
        await self._open()
        self._tell.say(f"traffic begins: {HELLO_RATE:g} requests a second to hello, {DATASETTE_RATE:g} to datasette")
        async with self._traffic(
            Load(self._port, HELLO_RATE, Mode.KEEP_ALIVE, host="hello.localhost"),
            Load(self._port, DATASETTE_RATE, Mode.NEW, host="datasette.localhost", path="/-/actor.json"),
        ):
            await self._switch()
        self._tell.say(f"other traffic begins: {GREETER_RATE:g} requests a second to greeter, a canary")
        async with self._traffic(Load(self._port, GREETER_RATE, Mode.KEEP_ALIVE, host="greeter.localhost")):
            await self._try()
        return report(self._acts, self._samples)

    @asynccontextmanager
    async def _traffic(self, *wanted: Load) -> AsyncIterator[None]:
        """Send requests from a second before the block to a second after it, and keep what became of them."""
        loads = {load.host.removesuffix(".localhost"): LoadProcess(load) for load in wanted}
        for load in loads.values():
            await load.start()
        try:
            await asyncio.sleep(1)
            yield
            await asyncio.sleep(1)
        finally:
            for name, load in loads.items():
                self._samples[name] = (await load.stop()).samples

    async def _open(self) -> None:
        self._tell.say("building images from Debian, from PyPI and from a folder; kept for the next time")
        await self._deploy("hello 1.0", self._hello, expect=Promoted)
        await self._deploy("datasette 0.65.2", self._datasette, expect=Promoted)
        await self._deploy("greeter 1.0", self._greeter, expect=Promoted)
        self._acts.clear()

    async def _switch(self) -> None:
        """All traffic at once, and back."""
        newer = replace(self._datasette, service=with_version(self._datasette.service, "0.65.5"))
        broken = replace(self._datasette, service=with_version(self._datasette.service, "0.65.1"))
        await self._deploy("datasette 0.65.5, a real newer version", newer, expect=Promoted)
        await self._deploy("datasette 0.65.1, which does not start on this Python", broken, expect=RolledBack)
        await self._deploy("hello 2.0", _changed(self._hello, GREETING="Hello again"), expect=Promoted)
        await self._roll_back()
        bad = _changed(self._hello, GREETING="Oops", HELLO_ERROR_SHARE="0.3")
        await self._deploy("hello 3.0, which fails 30 % of its requests", bad, expect=RolledBack)
        slow = _changed(self._hello, GREETING="Hi", HELLO_SLOW_START="1.5")
        title = "hello 4.0, and the controller is killed meanwhile"
        await self._deploy(title, slow, expect=Promoted, meanwhile=self._kill_the_controller)

    async def _try(self) -> None:
        """A share of the traffic decides."""
        good = _changed(self._greeter, GREETING="Good evening")
        await self._deploy("greeter 2.0: 30 % of its traffic decides", good, expect=Promoted)
        bad = _changed(self._greeter, GREETING="Good grief", HELLO_ERROR_SHARE="0.05")
        await self._deploy("greeter 3.0, which fails 5 % of its requests", bad, expect=RolledBack)

    async def _deploy(
        self, title: str, loaded: LoadedService, *, expect: type, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._tell.say(f"deploy {title}")
        began, name = time.perf_counter(), loaded.service.service
        request = DeployRequest(
            environment=ENVIRONMENT,
            spec=loaded.service,
            runtime=runtime_of(loaded),
            folder=str(loaded.folder),
            by=PERSON,
            base=loaded.base,
        )
        result = await asyncio.to_thread(self._client.deploy, request)
        if isinstance(result, Refused):
            raise named(result.error)(result.what, why=result.why, next=result.next)
        assert isinstance(result, Started), "the demo begins with nothing deployed"
        if said := await asyncio.to_thread(fallen_back, self._client, request, result):
            self._tell.say(f"  {said}")
        if meanwhile is not None:
            await meanwhile()
        number = result.release.number
        summary = await self._until(lambda: self._settled(name, number))
        lines = await self._until(lambda: self._client.explain(summary.id).lines)
        self._note(summary, lines, expect, began)

    async def _roll_back(self) -> None:
        self._tell.say("roll hello back, as if 2.0 had been a mistake")
        began = time.perf_counter()
        await asyncio.to_thread(self._client.rollback, ENVIRONMENT, "hello", GoBackOrder(PERSON))
        last = await self._until(lambda: next((s for s in self._history("hello") if isinstance(s.outcome, RolledBack)), None))
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
            except Unreachable:
                answer = None  # the controller is on its way back
            if answer is not None:
                return answer
            await asyncio.sleep(0.05)
        raise Unreachable("the rollout did not settle in two minutes", next=f"look at {Path.cwd()}")

    def _note(self, summary: RolloutSummary, lines: Sequence[ExplainedLine], expect: type, began: float) -> None:
        assert summary.outcome is not None
        ended = time.perf_counter()
        tried = summary.service == self._greeter.service.service and summary.origin is not None
        found = judgement(lines) if tried else None
        yes = f": its traffic says yes: {found.verdict.why}" if found and isinstance(found.verdict, Pass) else ""
        self._tell.say(f"  {outcome_words(summary.outcome)}{yes}")
        act = Act(
            service=summary.service,
            origin=_called(summary.origin),
            target=_called(summary.target),
            outcome="rolled back" if found and isinstance(found.verdict, Fail) else OUTCOMES[type(summary.outcome)],
            as_expected=isinstance(summary.outcome, expect) and (found is not None or not tried),
            began=began,
            ended=ended,
            shifted=None if tried else self._shifted(lines, summary.target.number),
            release=summary.target.name,
            tried=tried,
            verdict=verdict_words(found) if found else None,
        )
        self._acts.append(act)

    def _shifted(self, lines: Sequence[ExplainedLine], release: int) -> float | None:
        """Return when all traffic was decided to go to the new release."""
        for line in lines:
            event = line.event
            if not isinstance(event, Decided) or not isinstance(event.decision, Shift):
                continue
            route = event.decision.route
            if any(route.split.weight(c) == WHOLE and route.release(c) == release for c in Colour):
                return line.at.timestamp() - self._wall
        return None


def judgement(lines: Sequence[ExplainedLine]) -> Assessment | None:
    """Return what the traffic had shown when it decided; None where it did not."""
    measured = [line.event.assessment for line in lines if isinstance(line.event, Measured)]
    return next((each for each in reversed(measured) if not isinstance(each.verdict, Inconclusive)), None)


def _changed(loaded: LoadedService, **env: str) -> LoadedService:
    """Return the service with another environment: a new release."""
    return replace(loaded, service=structs.replace(loaded.service, env={**loaded.service.env, **env}))


def _called(release: ReleaseRef | None) -> str:
    """Return a release by its number, and by its version where that is one that people gave."""
    if release is None:
        return "-"
    given = any(not c.isalnum() for c in release.version)
    return f"{release.name} {release.version}" if given else release.name
