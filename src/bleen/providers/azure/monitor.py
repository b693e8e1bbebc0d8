"""The port `Metrics` over an Application Gateway: what Azure Monitor counts of its answers, by who gave them.

The metric `BackendResponseStatus` has the answers of backends by pool, server and class, a minute at once (Microsoft:
*Supported metrics for Microsoft.Network/applicationgateways*). It has no answer that the gateway gave itself because no backend
did. Of latencies Monitor has averages alone, from which nothing can be compared: `Counters.latency` stays empty.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import AzureError, HttpResponseError
from azure.monitor.querymetrics import MetricAggregationType, MetricsQueryResult, MetricValue
from azure.monitor.querymetrics.aio import MetricsClient

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.errors import Unreachable
from bleen.domain.fidelity import GatewayMode
from bleen.domain.signals import Sample
from bleen.providers.azure.errors import translate
from bleen.providers.azure.owners import Owner
from bleen.providers.azure.sight import Shared
from bleen.providers.azure.site import Site
from bleen.providers.azure.sums import GRAIN, Answer, Meter, Series, Sums
from bleen.providers.azure.table import Table
from bleen.providers.odometer import Meters

METRIC, NAMESPACE = "BackendResponseStatus", "Microsoft.Network/applicationGateways"
POOL, SERVER, CLASS = "BackendPool", "BackendServer", "HttpStatusGroup"
FILTER = " and ".join(f"{name} eq '*'" for name in (POOL, SERVER, CLASS))
PAUSE = 0.25
"""Of a grain: so long one answer serves all who ask. Each call of this API is billed."""
PROMPT = 0.5
"""Seconds for which a new answer is waited for while the one before it still serves: it tells of minutes that are past."""
MOST = 5_000
"""Series in an answer. Of more than were asked for some are left out without a word; 10 where nothing is asked for."""
PATIENCE = 30.0
"""Seconds for an answer, with all that the SDK does to get one."""
_ROLE = (
    "give the identity the role Monitoring Reader on the subscription: the module identity does, with reads_metrics; "
    "and az provider register --namespace Microsoft.Insights"
)

Ask = Callable[[datetime, datetime], Awaitable[Answer]]


class Monitor:
    """Asks Azure Monitor, on its data plane: that counts against no limit of Resource Manager's."""

    def __init__(self, client: MetricsClient, site: Site, patience: float = PATIENCE) -> None:
        self._client = client
        self._site = site
        self._patience = patience

    async def ask(self, begin: datetime, end: datetime) -> Answer:
        """Return what backends answered; Unreachable says why nobody counts, and what to do."""
        with _counting():
            async with asyncio.timeout(self._patience):
                found = await self._client.query_resources(
                    resource_ids=[self._site.edge_id],
                    metric_namespace=NAMESPACE,
                    metric_names=[METRIC],
                    timespan=(begin, end),
                    granularity=GRAIN,
                    aggregations=[MetricAggregationType.TOTAL],
                    max_results=MOST,
                    filter=FILTER,
                )
        return _answer(found)


@contextmanager
def _counting() -> Iterator[None]:
    """Raise whatever Azure Monitor says against it as Unreachable: nobody counts now."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable("Azure Monitor did not answer", why="it says nothing at all", next="bleen azure smoke") from error
    except AzureError as error:
        told = translate("read what Azure Monitor counts", error)
        refused = isinstance(error, HttpResponseError) and error.status_code in (401, 403)
        raise Unreachable(told.what, why=told.why, next=_ROLE if refused else told.next) from error


def _answer(found: Sequence[MetricsQueryResult]) -> Answer:
    told = [each for result in found for metric in result.metrics for each in metric.timeseries]
    if len(told) >= MOST:
        raise Unreachable("Azure Monitor does not tell all that it counts", why=f"the gateway has {MOST} series or more")
    grain = next((result.granularity for result in found if result.granularity), GRAIN)
    return Answer(grain, tuple(_series(each.metadata_values, each.data) for each in told))


def _series(named: Mapping[str, str], data: Sequence[MetricValue]) -> Series:
    """Return what one series tells. Monitor writes the names of dimensions in lower case, and nothing where it counted none."""
    values = {name.lower(): value for name, value in named.items()}
    status = values.get(CLASS.lower(), "").lower()
    if not re.fullmatch("[1-5]xx", status):
        raise Unreachable("Azure Monitor tells classes of answers that nobody knows", why=f"{CLASS} is {status!r}")
    points = {each.timestamp: int(each.total) for each in data if each.total}
    return Series(values.get(POOL.lower(), ""), values.get(SERVER.lower(), ""), status, points)


class Counting:
    """Asks Azure Monitor rarely, for all who read."""

    def __init__(
        self,
        ask: Ask,
        read: Callable[[], Awaitable[Table]],
        mode: GatewayMode,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        pause: float = PAUSE,
        prompt: float = PROMPT,
    ) -> None:
        """``read`` returns the table of routes."""
        self.clock = clock
        self._pause = pause
        self._prompt = prompt
        self._told: datetime | None = None
        self._ask = ask
        self._read = read
        self._sums = Sums(mode)
        self._shared = Shared(self._look, pause * GRAIN.total_seconds())

    async def sums(self) -> Sums:
        """Return what is counted by now, from an answer that is a minute old at most, and mostly a quarter; Unreachable."""
        if self._told is None or not timedelta() <= self.clock() - self._told <= self._sums.grain:
            return await self._shared.look()
        try:
            async with asyncio.timeout(self._prompt):
                return await self._shared.look()
        except TimeoutError:
            return self._sums

    async def _look(self) -> Sums:
        """Whose an address is is noted though Monitor is away: what it counts meanwhile it tells later."""
        now = self.clock()
        self._sums.note(now, await self._read())
        self._sums.add(await self._ask(now - self._sums.reach, now), now)
        self._shared.serve_for(self._pause * self._sums.grain.total_seconds())
        self._told = now
        return self._sums

    async def close(self) -> None:
        """Give up a question that is under way."""
        await self._shared.close()


class MonitorMetrics:
    """Answers by class only: no latency, nothing of what instances use, and a custom metric is a failure here."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._meters = Meters(lambda odometer: Meter())

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases as of the last settled minute; Unreachable where Monitor does not tell them."""
        sums = await self._counting.sums()
        meter, epoch = self._meters.of(comparison, sums.name)
        releases = (comparison.baseline, comparison.canary)
        return Sample(
            at=self._counting.clock(),
            releases=tuple(meter.count(Owner(comparison.service, each), sums) for each in releases),
            epoch=epoch,
            failures={metric.name: "Azure Monitor does not count it" for metric in custom},
            until=sums.until,
        )
