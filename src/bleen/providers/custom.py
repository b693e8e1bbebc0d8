"""Golden signals and metrics of one's own, each from where it is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import structs

from bleen.domain.canary import Events, Metric
from bleen.domain.comparison import Comparison
from bleen.domain.errors import BleenError, NotFound
from bleen.domain.signals import Load, Sample
from bleen.ports import Fleets, Metrics
from bleen.providers.commands import PATIENCE as COMMAND_PATIENCE
from bleen.providers.commands import CommandNumbers
from bleen.providers.found import Found, attempt, tell
from bleen.providers.pages import PageEvents
from bleen.providers.prometheus import Prometheus, QueriedMetrics

PROMPT = 0.5
"""Seconds for which a sample waits for metrics of one's own."""
STALE = 10.0
"""Seconds after which a value that nobody fetched is not told any more."""

Loads = Callable[[Comparison], Awaitable[tuple[Load, ...]]]
"""Returns what the instances of both releases use, as `local.loads.LocalLoads.read` and `azure.loads.AzureLoads.read` do."""
Key = tuple[str, str, int, int, bool, str]


class CustomMetrics:
    """Port `Metrics`: what ``golden`` counts, and custom metrics from instances' pages, commands and a Prometheus.

    The golden signals never wait for the others: a metric that takes longer than ``PROMPT`` is in a later sample, for which
    it is to be asked again.
    """

    def __init__(
        self,
        golden: Metrics,
        fleets: Fleets,
        prometheus_url: str = "",
        *,
        loads: Loads | None = None,
        command_patience: float = COMMAND_PATIENCE,
    ) -> None:
        self._golden = golden
        self._loads = loads
        self._prometheus = Prometheus(prometheus_url) if prometheus_url else None
        self._queried = QueriedMetrics(self._prometheus) if self._prometheus else None
        self._pages = PageEvents(fleets)
        self._commands = CommandNumbers(command_patience)
        self._asked: dict[Key, asyncio.Task[tuple[Found | BleenError, float]]] = {}

    async def close(self) -> None:
        """End what is still being read, and give back the sockets."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        await self._pages.close()
        if self._prometheus:
            await self._prometheus.close()

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the golden signals, and what is known of the custom metrics by then; Unreachable as ``golden``."""
        asked = {metric.name: self._ask(metric, comparison) for metric in custom}
        sample, loads = await asyncio.gather(self._golden.read(comparison), self._load(comparison))
        if asked:
            await asyncio.wait(asked.values(), timeout=PROMPT)
        return structs.replace(tell(sample, self._arrived(comparison, asked)), loads=loads or sample.loads)

    async def _load(self, comparison: Comparison) -> tuple[Load, ...]:
        """Return what instances use; nothing where that cannot be seen, which no verdict needs."""
        try:
            async with asyncio.timeout(PROMPT):
                return await self._loads(comparison) if self._loads else ()
        except (BleenError, TimeoutError):
            return ()

    def _ask(self, metric: Metric, comparison: Comparison) -> asyncio.Task[tuple[Found | BleenError, float]]:
        old = _now() - STALE
        self._asked = {key: task for key, task in self._asked.items() if not task.done() or task.result()[1] >= old}
        key = _key(metric.name, comparison)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._timed(metric, comparison))
        return self._asked[key]

    def _arrived(
        self, comparison: Comparison, asked: Mapping[str, asyncio.Task[tuple[Found | BleenError, float]]]
    ) -> Mapping[str, Found | BleenError]:
        arrived = {name: task.result()[0] for name, task in asked.items() if task.done()}
        for name in arrived:
            self._asked.pop(_key(name, comparison), None)
        return arrived

    async def _timed(self, metric: Metric, comparison: Comparison) -> tuple[Found | BleenError, float]:
        return await attempt(self._find, metric, comparison), _now()

    async def _find(self, metric: Metric, comparison: Comparison) -> Found:
        if isinstance(metric, Events):
            if metric.page:
                return await self._pages.read(metric, comparison)
        elif metric.run:
            return await self._commands.read(metric, comparison)
        if self._queried is None:
            raise NotFound("there is no Prometheus to ask", why="BLEEN_PROMETHEUS_URL is not set")
        return await self._queried.read(metric, comparison)


def _key(name: str, comparison: Comparison) -> Key:
    return (comparison.environment, comparison.service, comparison.baseline, comparison.canary, comparison.fair, name)


def _now() -> float:
    return asyncio.get_running_loop().time()
