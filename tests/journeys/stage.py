"""A real platform, and the words in which journeys are told: given a service, when it is deployed, then ..."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import httpx

from bleen.app.platform import LocalPlatform
from bleen.domain.codec import convert
from bleen.domain.command import Advance, Command
from bleen.domain.decision import AskHuman, Shift
from bleen.domain.errors import BleenError, NotFound, Unreachable
from bleen.domain.fleet import Instance
from bleen.domain.ledger import Decided, Measured
from bleen.domain.release import Runtime
from bleen.domain.rollout import Rollout
from bleen.domain.service import Service
from bleen.domain.traffic import Colour
from bleen.domain.verdict import Assessment
from bleen.domain.views import RolloutSummary
from bleen.interfaces.client import Client
from bleen.interfaces.views import ExplainedLine, GoBackOrder, RetryOrder, RollbackResult, ServiceView
from bleen.providers.load import Load, LoadProcess, Sample
from bleen.workflows.messages import DeployRequest, DeployResult, Started

T = TypeVar("T")
APP = Path(__file__).parent / "app"
QUICK_LOOK = {"bake": "1s", "warm_up": "0s", "learn": "0s", "slack": 5, "latency": {"weight": 0}}
"""An analysis that takes about a hundred requests to pass. Latencies are left out: a busy machine has its own."""


@dataclass
class Stage:
    """One platform that many journeys share; each plays with services of its own."""

    platform: LocalPlatform
    client: Client

    @property
    def gateway_port(self) -> int:
        """Where a gateway answers, on 127.0.0.1."""
        return self.platform.ports().gateway

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def home(self) -> Path:
        return self.platform.settings.path

    def given(self, name: str, **strategy: object) -> "Play":
        """Return a service called ``name`` that is not deployed yet."""
        return Play(self, name, dict(strategy))

    def canary(
        self, name: str, *steps: dict[str, object], analysis: dict[str, object] | None = None, **strategy: object
    ) -> "Play":
        """Return a service whose releases are canaries, of these steps and all traffic after them."""
        written = [*steps, {"type": "weight", "percent": 100}]
        looks = {**QUICK_LOOK, **(analysis or {})}
        play = self.given(name, **{"type": "canary", "steps": written, "analysis": looks, "warm": "0s", **strategy})
        play.extra = {"health": {"path": "/healthz", "interval": "250ms", "start_grace": "10s"}}
        return play

    def pid(self, part: str) -> int:
        """Return the process of a part."""
        return next(p.pid for p in self.client.platform().parts if p.name == part)


class Traffic:
    """What became of requests, once there are no more."""

    samples: Sequence[Sample] = ()

    @property
    def failed(self) -> set[str]:
        """Why requests failed, and who answered so."""
        return {f"{sample.answered_by}: {sample.failure}" for sample in self.samples if sample.failure}

    def of(self, release: str) -> list[Sample]:
        """Return the requests that ``release`` answered."""
        return [sample for sample in self.samples if sample.answered_by == release]


@dataclass
class Play:
    """One service, and what is done to it."""

    stage: Stage
    name: str
    strategy: dict[str, object]
    instances: int = 2
    words: int = 0
    extra: dict[str, object] = field(default_factory=dict)

    # ---- when ----

    def deploy(self, fail: str = "", *, words: str = "", **env: str) -> RolloutSummary:
        """Deploy a new release, told by its environment how to misbehave; return its rollout, settled."""
        return self.settled(self.begin(fail, words=words, **env))

    def begin(self, fail: str = "", *, words: str = "", **env: str) -> int:
        """Deploy, and return the release as soon as its own rollout is under way."""
        self.words += 1
        started = self.submit({"FAIL": fail, "WORDS": words or str(self.words), **env})
        assert isinstance(started, Started), started
        number = started.release.number
        self.until(lambda: (h := self.view().history) and h[0].target.number == number, f"the rollout to r{number}")
        return number

    def install(self) -> RolloutSummary:
        """Deploy a release past checks and approval: what a journey begins with."""
        number = self.begin()
        self.tell(Advance("ada", full=True))
        return self.settled(number)

    def begin_and_wait_for_approval(self) -> None:
        """Deploy, and return when the rollout asks a person."""
        self.begin()
        self.decision("AskHuman")

    def submit(self, env: dict[str, object]) -> DeployResult:
        """Ask for a deployment, and return the answer."""
        spec = self.spec(env)
        runtime = Runtime(command=spec.command, health=spec.health, stop=spec.stop, env=spec.env)
        request = DeployRequest(environment="dev", spec=spec, runtime=runtime, folder=str(APP.parent), by="ada")
        return self.stage.client.deploy(request)

    def spec(self, env: dict[str, object]) -> Service:
        """Return the service file of this play."""
        plain = {
            "service": self.name,
            "image": {"type": "directory", "path": "app"},
            "command": ["python3", "{app}/server.py", "{address}", "{port}"],
            "health": {"path": "/healthz", "start_grace": "5s"},
            "stop": {"drain": "3s", "kill_after": "1s"},
            "instances": self.instances,
            "env": env,
            "strategy": {"type": "blue-green", "warm": "60s", "abort_delay": "200ms", **self.strategy},
            **self.extra,
        }
        spec: Service = convert(plain, Service)
        return spec

    def tell(self, command: Command) -> Rollout:
        """Give a command to the rollout under way."""
        return self.stage.client.command("dev", self.name, command)

    def rollback(self, to: int | None = None) -> RollbackResult:
        """Go back."""
        return self.stage.client.rollback("dev", self.name, GoBackOrder("ada", to))

    def retry(self) -> None:
        """Try the last release again."""
        self.stage.client.retry("dev", self.name, RetryOrder("ada"))

    def kill(self, colour: Colour, sig: signal.Signals = signal.SIGKILL, *, count: int = 99) -> None:
        """Send a signal to the instances of a colour."""
        for instance in self.fleet(colour)[:count]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(instance.pid, sig)

    @contextlib.contextmanager
    def traffic(self, rate: float = 300) -> Iterator[Traffic]:
        """Send so many requests a second while the block runs, on schedule, from a process of its own."""
        load = LoadProcess(Load(self.stage.gateway_port, rate, host=f"{self.name}.localhost"))
        traffic = Traffic()
        with asyncio.Runner() as runner:
            runner.run(load.start())
            try:
                yield traffic
            finally:
                traffic.samples = runner.run(load.stop()).samples

    # ---- then ----

    def view(self) -> ServiceView:
        """Return the service as it is now."""
        return self.stage.client.service("dev", self.name)

    def rollout(self) -> Rollout:
        """Return the rollout under way."""
        return self.until(lambda: (p := self.view().progress) and p.rollout, "a rollout under way")

    def settled(self, release: int | None = None) -> RolloutSummary:
        """Wait for the latest rollout, or that to ``release``, to settle, and return it."""

        def latest() -> RolloutSummary | None:
            last = self.view().history[0]
            return last if last.outcome and release in (None, last.target.number) else None

        return self.until(latest, "an outcome", seconds=60)

    def ended(self) -> None:
        """Wait until nothing is under way."""
        self.until(lambda: self.view().progress is None, "the end of the rollout", seconds=60)

    def is_gone(self) -> bool:
        """Return whether there is no such service any more."""
        try:
            self.view()
        except NotFound:
            return True
        return False

    def fleet(self, colour: Colour, *, baseline: bool = False) -> tuple[Instance, ...]:
        """Return the instances of a colour, or of the baseline fleet beside it."""
        wanted = (colour, baseline)
        return next((f.instances for f in self.view().fleets if (f.slot.colour, f.slot.baseline) == wanted), ())

    def fleets(self) -> dict[str, int]:
        """Return the releases that run, and how many instances each has; ``r1 baseline`` is the fleet of that name."""
        return {f"r{f.release}{' baseline' if f.slot.baseline else ''}": len(f.instances) for f in self.view().fleets}

    def step(self, kind: str) -> Rollout:
        """Wait until the rollout is at a step of that kind."""
        return self.until(lambda: type((r := self.rollout()).current).__name__ == kind and r, f"the step {kind}")

    def decision(self, kind: str) -> None:
        """Wait until the last decision is of that kind."""
        self.until(lambda: (p := self.view().progress) and type(p.decision).__name__ == kind, f"the decision {kind}")

    def asked(self, question: str = "") -> None:
        """Wait until the rollout asks a person."""
        self.until(
            lambda: (
                (p := self.view().progress)
                and isinstance(p.decision, AskHuman)
                and question in p.decision.question
                and p.rollout.outcome is None
            ),
            f"the question {question!r}",
        )

    def lines(self, *kinds: str) -> list[ExplainedLine]:
        """Return what the latest rollout did, as `bleen explain` tells it; of these kinds only, where some are named."""
        lines = self.stage.client.explain(self.view().history[0].id).lines
        return [line for line in lines if not kinds or line.kind in kinds]

    def weights(self) -> list[float]:
        """Return the shares in percent that the latest rollout gave its release, in order."""
        number, found = self.view().history[0].target.number, [0.0]
        for line in self.lines("shift"):
            assert isinstance(line.event, Decided) and isinstance(line.event.decision, Shift)
            route = line.event.decision.route
            found += [route.split.weight(colour) / 100 for colour in Colour if route.release(colour) == number]
        return [weight for before, weight in pairwise(found) if weight != before]

    def measured(self) -> list[Assessment]:
        """Return what the traffic has shown so far in the latest rollout, from the ledger."""
        return [line.event.assessment for line in self.lines("measured") if isinstance(line.event, Measured)]

    def counts(self, colour: Colour, *, baseline: bool = False) -> Counter[str]:
        """Return what the instances of a colour have counted: requests by method, copies, failures."""
        total: Counter[str] = Counter()
        for instance in self.fleet(colour, baseline=baseline):
            total.update(httpx.get(f"http://{instance.address}:{instance.port}/counts", timeout=10).json())
        return total

    def get(self, path: str = "/", *, host: str = "", **headers: str) -> httpx.Response:
        """Ask the service through the gateway."""
        name = host or f"{self.name}.localhost"
        return httpx.get(f"{self.stage.gateway}{path}", headers={"host": name, **headers}, timeout=10)

    def answers(self, count: int = 20) -> set[str]:
        """Return the releases that answer now."""
        found = [self.get() for _ in range(count)]
        return {answer.headers.get("x-bleen-release", str(answer.status_code)) for answer in found}

    def until(self, question: Callable[[], T | bool | None], what: str, *, seconds: float = 30) -> T:
        """Ask until the answer is true; fail with what was hoped for and what there is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(NotFound, Unreachable, httpx.TransportError):
                answer = question()
                if answer:
                    return answer  # type: ignore[return-value]
            time.sleep(0.05)
        raise AssertionError(f"{self.name}: {what} did not come in {seconds:g} s; there is {self._state()}")

    def _state(self) -> object:
        with contextlib.suppress(BleenError):
            view = self.view()
            return view.progress, view.fleets, view.history[:1]
        return "nothing"


def open_stage(platform: LocalPlatform) -> Iterator[Stage]:
    """Start ``platform``, yield it as a stage, and end it with nothing left."""
    with Client(platform.up()) as client:
        try:
            yield Stage(platform, client)
        finally:
            platform.down()
