"""What Azure Monitor counts, in the double, on a clock that goes on by a quarter of a minute whenever somebody reads."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.signals import Sample
from bleen.domain.traffic import Backend, Colour, Endpoint
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.monitor import Counting, Monitor, MonitorMetrics
from bleen.providers.azure.table import Table, TableBlob
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.contracts.metrics import a_comparison

STEP = timedelta(seconds=15)


class Reading:
    """The port, as a controller reads it; what Monitor tells next is told at the next reading."""

    def __init__(self, cloud: Cloud, there: Azure, routes: TableBlob, patience: float = 5.0, prompt: float = 20.0) -> None:
        self._prompt = prompt
        self.now = datetime(2026, 11, 28, 12, 0, 7, tzinfo=UTC)
        cloud.monitor.clock = lambda: self.now.timestamp()
        self._monitor = Monitor(there.metrics, there.site, patience)
        self.there, self.routes = there, routes
        self.begin()

    def begin(self) -> None:
        """Count as a new process does."""
        self.counting = Counting(
            self._monitor.ask, self._table, self.there.site.gateway_mode, lambda: self.now, pause=0.0, prompt=self._prompt
        )
        self.metrics = MonitorMetrics(self.counting)

    async def _table(self) -> Table:
        return (await self.routes.read()).table

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        self.now += STEP
        return await self.metrics.read(comparison, custom)

    async def go_on(self, minutes: float, comparison: Comparison | None = None) -> Sample:
        """Read for so long, and return the last sample."""
        for _ in range(int(minutes * 4)):
            sample = await self.read(comparison or a_comparison())
        return sample


class EdgeTraffic:
    """Answers that went through the gateway of hello: r1 is blue, and r2 is green."""

    def __init__(self, cloud: Cloud, edge: Edge, reading: Reading, places: dict[int, tuple[str, str]]) -> None:
        self.cloud = cloud
        self.edge = edge
        self.reading = reading
        self.places = places
        """By release: pool and server."""

    async def ask(self, release: int, status: int = 200, seconds: float = 0.0, *, baseline: bool = False) -> None:
        self.met(release, status)

    def met(self, release: int, status: int = 200, times: int = 1) -> None:
        self.cloud.monitor.count(self.edge.name, *self.places[release], status, times=times)

    async def silence(self) -> None:
        self.cloud.monitor.silent = True

    async def restart(self) -> None:
        self.reading.begin()


def backend(release: int, *addresses: str) -> Backend:
    """Return r1 in blue or r2 in green, at these addresses."""
    endpoints = tuple(Endpoint(each, 8080) for each in addresses)
    return Backend("dev", "hello", [Colour.BLUE, Colour.GREEN][release - 1], release, endpoints)
