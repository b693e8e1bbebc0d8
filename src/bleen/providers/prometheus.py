"""Metrics from a Prometheus: golden signals that it scraped from the gateways, and PromQL of one's own.

In production each Envoy has a listener for Prometheus that forwards ``/stats/prometheus``, and nothing else, to its own
administration interface, which can stop it and must stay on its socket. All of them are targets of one job; ``/metrics``
is what tests/fixtures/prometheus.py serves in its stead. A sample is as old as the last scrape: scrape each second or five.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Any

import msgspec

from bleen.domain.canary import Events, Metric, Number
from bleen.domain.comparison import Comparison
from bleen.domain.errors import InvalidInput, Unreachable
from bleen.domain.signals import Sample
from bleen.providers.envoy import endings
from bleen.providers.envoy.meter import COPIED_LATENCY, COUNTERS, GAUGES, ClusterSeen, Meter, clusters, upper_bound
from bleen.providers.found import Found, read_all, tell
from bleen.providers.odometer import Meters, Odometer
from bleen.providers.transport import httpx, verification

PATIENCE = 2.0
"""Seconds to wait for an answer."""
BACKEND = endings.BACKEND_TAG.replace(".", "_")
REQUEST, LATENCY = (f"envoy_{name.replace('.', '_')}" for name in (endings.REQUEST, endings.LATENCY))


class Point(msgspec.Struct, frozen=True):
    """One series at one moment."""

    metric: dict[str, str]
    value: tuple[float, str]

    @property
    def number(self) -> float:
        return float(self.value[1])


class _Data(msgspec.Struct):
    resultType: str
    result: Any


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


class Prometheus:
    """Asks one Prometheus at ``url``, or what speaks as one does (Thanos, Mimir, VictoriaMetrics)."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE, verify=verification(self.url))

    async def close(self) -> None:
        """Give back its sockets."""
        await self._client.aclose()

    async def ask(self, query: str) -> Sequence[Point]:
        """Return the series that ``query`` gives now; InvalidInput where it cannot be understood, Unreachable."""
        try:
            answer = await self._client.post("/api/v1/query", data={"query": query})
            told = msgspec.json.decode(answer.content, type=_Answer)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"Prometheus at {self.url} did not answer", why=why, next="set BLEEN_PROMETHEUS_URL") from error
        if answer.status_code >= 500:
            raise Unreachable(f"Prometheus at {self.url} did not answer", why=told.error)
        if told.status != "success" or told.data is None:
            raise InvalidInput("Prometheus refused the query", why=told.error)
        return _points(told.data)

    async def number(self, query: str) -> float:
        """Return the one number that ``query`` gives now; InvalidInput where it gives none, several, or NaN."""
        points = await self.ask(query)
        if not points:
            raise InvalidInput("the query gave no value", why="no series matches it; `or vector(0)` counts that as 0")
        if len(points) > 1:
            raise InvalidInput(f"the query gave {len(points)} values instead of one", why="`sum(...)` makes one of them")
        if not isfinite(points[0].number):
            raise InvalidInput(f"the query gave {points[0].value[1]}", why="which is no number; 0 / 0 is the usual reason")
        return points[0].number


def _points(data: _Data) -> Sequence[Point]:
    if data.resultType == "scalar":
        return [Point({}, msgspec.convert(data.result, tuple[float, str]))]
    if data.resultType != "vector":
        raise InvalidInput(f"the query gave a {data.resultType} instead of a number", why="leave out its [range]")
    return msgspec.convert(data.result, list[Point])


class QueriedMetrics:
    """Reads metrics of one's own with PromQL, in which ``{release}`` stands for ``r2``."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._odometers = Meters(lambda odometer: odometer)

    async def read(self, metric: Metric, comparison: Comparison) -> Found:
        """Return what ``metric`` is now; InvalidInput, Unreachable."""
        if isinstance(metric, Number):
            return await self._ask(metric.query, comparison.canary)
        odometer, _ = self._odometers.of(comparison)
        return {release: await self._events(metric, release, odometer) for release in (comparison.baseline, comparison.canary)}

    async def _events(self, metric: Events, release: int, odometer: Odometer) -> tuple[float, float]:
        bad, total = await self._ask(metric.bad, release), await self._ask(metric.total, release)
        # Where one falls, an instance has left with its counters, and what else came meanwhile is in neither.
        sums = odometer.read((metric.name, release), {"bad": bad, "total": total}, from_zero=False)
        return sums["bad"], sums["total"]

    async def _ask(self, query: str, release: int) -> float:
        return await self._prometheus.number(query.replace("{release}", f"r{release}"))


class PrometheusMetrics:
    """Port `Metrics` over the Prometheus at ``url``, whose job ``job`` scrapes the gateways."""

    def __init__(
        self, url: str, job: str = "bleen-gateways", clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.prometheus = Prometheus(url)
        self._job = job
        self._clock = clock
        self._meters = Meters(Meter)
        self._custom = QueriedMetrics(self.prometheus)
        self._uptimes: dict[str, float] = {}
        self._restarts = 0

    async def close(self) -> None:
        """Give back its sockets."""
        await self.prometheus.close()

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases over all gateways; Unreachable where Prometheus cannot scrape one of them."""
        releases = (comparison.baseline, comparison.canary)
        points = await self.prometheus.ask(_selector(self._job, clusters(comparison, releases)))
        self._check(points)
        meter, epoch = self._meters.of(comparison, str(self._restarts))
        seen = _clusters_seen(points)
        sample = Sample(
            at=self._clock(),
            releases=tuple(meter.count(each, clusters(comparison, [each]), seen) for each in releases),
            epoch=epoch,
        )
        return tell(sample, await read_all(self._custom.read, custom, comparison))

    def _check(self, points: Sequence[Point]) -> None:
        """Raise Unreachable where a gateway is not scraped; notice where one is not the process that it was."""
        up = {each.metric["instance"]: each.number for each in points if each.metric["__name__"] == "up"}
        uptimes = {e.metric["instance"]: e.number for e in points if e.metric["__name__"] == "envoy_server_uptime"}
        down = sorted(instance for instance, answered in up.items() if not answered)
        # Seconds tell no restart from none where both were short; that one was away does.
        self._restarts += bool(down) or any(uptimes.get(each, 0) < uptime for each, uptime in self._uptimes.items())
        self._uptimes = uptimes
        if down:
            raise Unreachable(f"Prometheus cannot scrape the gateway at {', '.join(down)}", next="look at its targets")
        if not up:
            raise Unreachable("Prometheus knows no gateway", why=f"it has no job {self._job!r} with targets")


def _selector(job: str, wanted: Sequence[str]) -> str:
    """Return one query for everything: its series are of one moment, and those of a gateway of one scrape."""
    whole = {_spelled(name) for name in (*COUNTERS, *GAUGES) if not name.endswith("xx")}
    told = sorted({*whole, CLASSES, REQUEST, f"{LATENCY}_bucket", f"{_spelled(COPIED_LATENCY)}_bucket"})
    names = "|".join(("up", "envoy_server_uptime", *told))
    backends = "|".join(map(re.escape, wanted))
    # The empty alternative: what is of the gateway itself has no backend.
    labels = (f"job={_quoted(job)}", f"__name__=~{_quoted(names)}", f"{BACKEND}=~{_quoted(f'|{backends}')}")
    return f"{{{','.join(labels)}}}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _spelled(name: str) -> str:
    """Return how Prometheus is told the name that a cluster's counter has here."""
    copies, _, last = name.rpartition(".")
    return f"envoy_cluster_{copies}_upstream_{last}" if copies else f"envoy_cluster_upstream_{last}"


CLASSES = _spelled("internal.rq_xx")
"""All classes of copies, in which a label says which."""
NAMES = {_spelled(name): name for name in (*COUNTERS, *GAUGES)}


def _clusters_seen(points: Sequence[Point]) -> Mapping[tuple[str, str], ClusterSeen]:
    of_cluster: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if BACKEND in point.metric:
            of_cluster.setdefault((point.metric["instance"], point.metric[BACKEND]), []).append(point)
    return {where: _cluster_seen(found) for where, found in of_cluster.items()}


def _cluster_seen(points: Sequence[Point]) -> ClusterSeen:
    ended: dict[tuple[int, str], float] = {}
    values: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = {}
    for point in points:
        labels = point.metric
        name = labels["__name__"]
        if name == REQUEST:
            ended[int(labels["code"]), labels["flags"]] = point.number
        elif name == CLASSES:
            values[f"internal.rq_{labels['envoy_response_code_class']}xx"] = point.number
        elif "le" in labels:
            buckets.setdefault(name.removesuffix("_bucket"), {})[float(labels["le"])] = point.number
        else:
            values[NAMES[name]] = point.number
    latency, copied = (_disjoint(buckets.get(name, {})) for name in (LATENCY, _spelled(COPIED_LATENCY)))
    return ClusterSeen(ended, latency, values, copied)


def _disjoint(cumulative: Mapping[float, float]) -> Mapping[float, float]:
    """Return how many are in each bucket, of those at or below each edge."""
    found: dict[float, float] = {}
    below = 0.0
    for edge in sorted(cumulative):
        found[inf if edge == inf else upper_bound(edge)] = cumulative[edge] - below
        below = cumulative[edge]
    return {edge: count for edge, count in found.items() if count}
