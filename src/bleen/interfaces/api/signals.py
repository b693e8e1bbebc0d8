"""Golden signals of both colours, second by second, while somebody looks. A verdict has counters of its own."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from bleen.domain.canary import Analysis
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.errors import BleenError
from bleen.domain.signals import Golden, Sample, golden, keep
from bleen.domain.traffic import Colour, GatewaySeen, Route
from bleen.interfaces.api.options import VIEW, Environment
from bleen.interfaces.api.providers import Here
from bleen.interfaces.glance import SignalPoint, SignalSeries
from bleen.ports import Gateway, Metrics

TICK = 1.0
OVER = 3
"""Readings over which a signal is told: of single seconds, percentiles of little traffic would only flicker."""
KEPT = 300
"""Points that are kept of a service."""
PATIENCE = 10.0
"""Seconds after which nobody looks any more."""


class Signals:
    """Reads the counters of every service that somebody looks at, once for all who do."""

    def __init__(
        self,
        metrics: Metrics,
        gateway: Gateway,
        clock: Callable[[], datetime],
        *,
        tick: float = TICK,
        patience: float = PATIENCE,
    ) -> None:
        self._metrics = metrics
        self._gateway = gateway
        self._clock = clock
        self._tick = tick
        self._patience = patience
        self._watches: dict[tuple[str, str], _Watch] = {}

    def look(self, environment: str, service: str) -> Sequence[SignalPoint]:
        """Return what was read of ``service`` so far, oldest first; the first look begins to read."""
        watch = self._watches.get((environment, service))
        if watch is None:
            watch = self._watches[environment, service] = _Watch(environment, service)
            watch.task = asyncio.create_task(self._follow(watch))
        watch.looked = time.monotonic()
        return tuple(watch.points)

    async def _follow(self, watch: "_Watch") -> None:
        try:
            while time.monotonic() - watch.looked < self._patience:
                watch.points.append(await self._read(watch))
                await asyncio.sleep(self._tick)
        finally:
            del self._watches[watch.environment, watch.service]

    async def _read(self, watch: "_Watch") -> SignalPoint:
        seen = await self._gateway.observe(watch.environment, watch.service)
        route, now = _route(seen), self._clock()
        if route is None:
            return SignalPoint(now)
        asked = _asked(route, now)
        if asked is None:
            return SignalPoint(now, weights=_weights(route))
        try:
            async with asyncio.timeout(self._tick * 2):
                watch.take(await self._metrics.read(asked), asked)
        except (BleenError, TimeoutError):
            return SignalPoint(now, weights=_weights(route), silent=True)
        blue, green = (watch.golden(route.release(colour)) for colour in (Colour.BLUE, Colour.GREEN))
        return SignalPoint(now, blue, green, _weights(route))


class _Watch:
    """One service that somebody looks at."""

    def __init__(self, environment: str, service: str) -> None:
        self.environment = environment
        self.service = service
        self.looked = time.monotonic()
        self.points: deque[SignalPoint] = deque(maxlen=KEPT)
        self.task: asyncio.Task[None] | None = None
        self._samples: deque[Sample] = deque(maxlen=OVER + 1)
        self._pair: tuple[int, int] | None = None

    def take(self, sample: Sample, asked: Comparison) -> None:
        """Keep ``sample``; those of other releases are no beginning for it."""
        pair = (asked.baseline, asked.canary)
        if pair != self._pair:
            self._samples.clear()
            self._pair = pair
        keep(self._samples, sample)

    def golden(self, release: int | None) -> Golden | None:
        """Return the signals of ``release`` of late; None before there are two readings."""
        if release is None or len(self._samples) < 2:
            return None
        return golden(self._samples[0], self._samples[-1], release)


def _route(seen: Sequence[GatewaySeen]) -> Route | None:
    return next((gateway.route for gateway in seen if gateway.route is not None), None)


def _asked(route: Route, now: datetime) -> Comparison | None:
    """Return both colours as a comparison, which is what counters are read for; one that is alone is compared with itself."""
    releases = [release for colour in Colour if (release := route.release(colour)) is not None]
    if not releases:
        return None
    return Comparison(
        environment=route.environment,
        service=route.service,
        step=0,
        since=now,
        canary=releases[-1],
        baseline=releases[0],
        phase=Phase.BESIDE,
        analysis=Analysis(),
    )


def _weights(route: Route) -> dict[str, float]:
    return {colour.value: route.split.weight(colour) / 100 for colour in Colour}


Watched = NamedDependency[Signals]


@get("/v1/services/{service:str}/signals", opt=VIEW, sync_to_thread=False)
def show_signals(
    providers: Here,
    signals: Watched,
    service: FromPath[str],
    environment: Environment = "",
    after: Annotated[datetime | None, QueryParameter(description="Only points after this one.")] = None,
) -> SignalSeries:
    """Traffic, errors and latencies of both colours, second by second, since somebody began to look."""
    points = signals.look(environment or providers.environment, service)
    return SignalSeries(tuple(point for point in points if after is None or point.at > after), providers.clock())


ROUTES = (show_signals,)
