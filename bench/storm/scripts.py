"""What goes on when a fault strikes: deployments of good and bad releases, and what people say to them."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from bench.storm.witness import ENVIRONMENT, SERVICE
from bleen.domain.codec import convert
from bleen.domain.command import Abort, Advance, Pause, Resume
from bleen.domain.errors import Conflict, Transient
from bleen.domain.release import Runtime
from bleen.domain.rollout import Aborted, Outcome, Promoted, RolledBack, Superseded
from bleen.domain.service import Service
from bleen.interfaces.client import Client
from bleen.interfaces.views import GoBackOrder
from bleen.workflows.messages import DeployRequest, Refused, Started

T = TypeVar("T")
PERSON = "storm"
_PATIENCE = 90.0

BAD: dict[str, dict[str, Any]] = {
    "crash": {"command": ["sh", "-c", "echo no such key; exit 3"]},
    "sick": {"health": {"path": "/status/503", "interval": "200ms", "start_grace": "1s", "timeout": "1s"}},
    "check": {"strategy": {"checks": {"before": [{"type": "http", "path": "/status/500"}]}}},
}


@dataclass(frozen=True)
class Expected:
    """How the rollout to a release may end when nothing but the control plane was hurt."""

    release: int
    outcomes: tuple[type[Outcome], ...]


@dataclass
class Stagehand:
    """Talks to the platform as people do: an answer that does not come is asked for again."""

    client: Client
    folder: Path
    instances: int
    version: int = 0
    expected: list[Expected] = field(default_factory=list)

    async def tell(self, doing: Callable[[], T]) -> T | None:
        """Return the answer; None where it came too late to make sense."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return await asyncio.to_thread(doing)
            except Conflict:
                return None
            except Transient:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def deploy(self, *outcomes: type[Outcome], bad: str = "", auto: bool = True) -> None:
        """Deploy a new release."""
        self.version += 1
        spec = self._spec(bad, auto)
        request = DeployRequest(
            environment=ENVIRONMENT,
            spec=spec,
            runtime=Runtime(command=spec.command, health=spec.health, stop=spec.stop, env=spec.env),
            folder=str(self.folder),
            by=PERSON,
        )
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = await self.tell(lambda: self.client.deploy(request))
            if not isinstance(answer, Refused) or answer.error not in ("StorageFull", "Unreachable", "NotConverged"):
                break
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        if answer is None or isinstance(answer, Refused):
            raise AssertionError(f"the deployment was refused: {answer}")
        if isinstance(answer, Started):
            self.expected.append(Expected(answer.release.number, outcomes))

    def _spec(self, bad: str, auto: bool) -> Service:
        good: dict[str, Any] = {
            "service": SERVICE,
            "image": {"type": "directory", "path": "app"},
            "command": ["python3", "{app}/upstream.py", "storm", "{address}", "{port}"],
            "health": {"path": "/health", "interval": "200ms", "timeout": "1s", "start_grace": "15s"},
            "stop": {"drain": "5s", "kill_after": "2s"},
            "instances": self.instances,
            "env": {"VERSION": str(self.version)},
        }
        strategy: dict[str, Any] = {
            "type": "blue-green",
            "auto_promote": auto,
            "warm": "2s",
            "abort_delay": "200ms",
            "progress_deadline": "30s",
            "checks": {"before": [{"type": "http", "path": "/", "requests": 3, "attempts": 3}]},
        }
        wrong = BAD[bad] if bad else {}
        plain = {**good, **wrong, "strategy": {**strategy, **wrong.get("strategy", {})}}
        spec: Service = convert(plain, Service)
        return spec

    async def command(self, command: Abort | Advance | Pause | Resume) -> None:
        """Tell the rollout under way something."""
        await self.tell(lambda: self.client.command(ENVIRONMENT, SERVICE, command))

    async def roll_back(self) -> None:
        """Go back; where that starts a rollout of its own, it may end in any way."""
        answer = await self.tell(lambda: self.client.rollback(ENVIRONMENT, SERVICE, GoBackOrder(PERSON)))
        if isinstance(answer, Started):
            self.expected.append(Expected(answer.release.number, (Promoted, RolledBack)))


Script = Callable[[Stagehand, Random], Coroutine[Any, Any, None]]


async def _rest(hand: Stagehand, random: Random) -> None:
    await asyncio.sleep(0.1)


async def _good(hand: Stagehand, random: Random) -> None:
    await hand.deploy(Promoted)


async def _crash(hand: Stagehand, random: Random) -> None:
    await hand.deploy(RolledBack, bad="crash")


async def _sick(hand: Stagehand, random: Random) -> None:
    await hand.deploy(RolledBack, bad="sick")


async def _check(hand: Stagehand, random: Random) -> None:
    await hand.deploy(RolledBack, bad="check")


async def _back(hand: Stagehand, random: Random) -> None:
    await hand.deploy(Promoted, RolledBack)
    await asyncio.sleep(random.uniform(0, 2.5))
    await hand.roll_back()


async def _abort(hand: Stagehand, random: Random) -> None:
    await hand.deploy(Promoted, Aborted)
    await asyncio.sleep(random.uniform(0, 1.5))
    await hand.command(Abort(PERSON))


async def _approve(hand: Stagehand, random: Random) -> None:
    await hand.deploy(Promoted, auto=False)
    for _ in range(200):
        await asyncio.sleep(0.3)
        answer = await hand.tell(lambda: hand.client.command(ENVIRONMENT, SERVICE, Advance(PERSON)))
        if answer is not None or await _is_over(hand):
            return
    raise AssertionError("nobody could say yes for a minute")


async def _is_over(hand: Stagehand) -> bool:
    last = await hand.tell(lambda: hand.client.history(ENVIRONMENT, SERVICE, limit=1))
    wanted = hand.expected[-1].release
    return last is not None and any(r.target.number == wanted and r.outcome is not None for r in last.rollouts)


async def _two(hand: Stagehand, random: Random) -> None:
    await hand.deploy(Promoted, Superseded)
    await asyncio.sleep(random.uniform(0, 1.5))
    await hand.deploy(Promoted)


async def _pause(hand: Stagehand, random: Random) -> None:
    await hand.deploy(Promoted)
    await asyncio.sleep(random.uniform(0, 0.6))
    await hand.command(Pause(PERSON))
    await asyncio.sleep(random.uniform(0, 1.5))
    await hand.command(Resume(PERSON))


SCRIPTS: dict[str, Script] = {
    "nothing": _rest,
    "a good deployment": _good,
    "a release that crashes": _crash,
    "a release that is never healthy": _sick,
    "a release that fails its check": _check,
    "a deployment, rolled back": _back,
    "a deployment, aborted": _abort,
    "a deployment with approval": _approve,
    "two deployments": _two,
    "a deployment, paused and resumed": _pause,
}
WEIGHTS: Sequence[int] = (1, 5, 2, 1, 1, 3, 3, 2, 2, 1)
