"""Metrics from a real Prometheus that scrapes a real Envoy."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from bleen.domain.canary import Events, Number
from bleen.domain.errors import Unreachable
from bleen.domain.traffic import WHOLE, Colour, Mirror
from bleen.providers.custom import CustomMetrics
from bleen.providers.envoy.stats import EnvoyMetrics
from bleen.providers.memory.fleets import MemoryFleets
from bleen.providers.memory.metrics import MemoryMetrics
from bleen.providers.prometheus import PrometheusMetrics
from tests.contracts.metrics import MetricsContract, a_comparison, has, of, read_until
from tests.fixtures.envoy import EnvoyRun, until
from tests.fixtures.prometheus import PrometheusRun, StatsPage
from tests.providers.envoy.test_stats import EnvoyTraffic, a_route, both_releases
from tests.providers.envoy.world import World


@pytest.fixture(scope="module")
def page() -> Iterator[StatsPage]:
    with StatsPage() as page:
        yield page


@pytest.fixture(scope="module")
def prometheus(page: StatsPage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusRun]:
    with PrometheusRun(tmp_path_factory.mktemp("prometheus"), [page.target]) as run:
        yield run


@pytest.fixture
async def metrics(prometheus: PrometheusRun, page: StatsPage, envoy: EnvoyRun) -> AsyncIterator[PrometheusMetrics]:
    page.admin, page.scrapes = envoy.place.admin, 0
    await until(lambda: scraped(page))
    metrics = PrometheusMetrics(prometheus.url)
    await until(lambda: answers(metrics))
    yield metrics
    await metrics.close()


async def scraped(page: StatsPage) -> bool:
    """Return whether nothing is left of another Envoy."""
    await asyncio.sleep(0.05)
    return page.scrapes >= 2


async def answers(metrics: PrometheusMetrics) -> bool:
    """Return whether it can be read."""
    try:
        await metrics.read(a_comparison())
    except Unreachable:
        await asyncio.sleep(0.05)
        return False
    return True


class ScrapedTraffic(EnvoyTraffic):
    """Requests, and what Prometheus has scraped of them."""

    def __init__(self, envoy: EnvoyRun, world: World, metrics: PrometheusMetrics) -> None:
        super().__init__(envoy, world)
        self.metrics = metrics

    async def silence(self) -> None:
        await super().silence()
        await until(self._silent)

    async def restart(self) -> None:
        await self.silence()
        await self.envoy.start()
        await until(lambda: answers(self.metrics))

    async def _silent(self) -> bool:
        return not await answers(self.metrics)


@pytest.fixture
async def traffic(envoy: EnvoyRun, world: World, metrics: PrometheusMetrics) -> ScrapedTraffic:
    await both_releases(world)
    return ScrapedTraffic(envoy, world, metrics)


class TestPrometheusKeepsThePort(MetricsContract):
    """Real Prometheus, real Envoy, real requests."""


async def test_it_tells_what_envoy_tells(traffic: ScrapedTraffic, metrics: PrometheusMetrics, envoy: EnvoyRun) -> None:
    """The counters are the same, those of copies too, and the buckets are coarser at most."""
    direct = EnvoyMetrics([envoy.place])
    for status, seconds in ((200, 0.0), (503, 0.0), (200, 0.02), (200, 0.15)):
        await traffic.ask(2, status, seconds)
    copying = msgspec.structs.replace(a_route(0), preview=Colour.GREEN, mirror=Mirror(WHOLE))
    await traffic.world.gateway.set_route(copying, 2)
    await traffic.world.ask("/status/404")
    told, seen = await read_until(metrics, has(2, 5)), await read_until(direct, has(2, 5))  # type: ignore[arg-type]
    assert of(told, 2).classes == of(seen, 2).classes and of(told, 2).failed == of(seen, 2).failed == 1
    for edge in of(told, 2).latency.edges:
        assert of(told, 2).latency.slower(edge) == of(seen, 2).latency.slower(edge)
    await direct.close()


async def test_a_prometheus_that_is_away_is_no_zero(tmp_path: Path) -> None:
    """Its own end is the end of all metrics, and the error names its address."""
    with PrometheusRun(tmp_path / "another", []) as run:
        metrics = PrometheusMetrics(run.url)
        run.kill()
        with pytest.raises(Unreachable, match=run.url):
            await metrics.read(a_comparison())
        await metrics.close()


async def test_a_prometheus_without_gateways_is_no_zero(prometheus: PrometheusRun) -> None:
    """A job that nobody configured counts nothing, which is not: nothing happened."""
    metrics = PrometheusMetrics(prometheus.url, job="another")
    with pytest.raises(Unreachable, match="no job 'another'"):
        await metrics.read(a_comparison())
    await metrics.close()


class TestQueries:
    """PromQL of one's own."""

    async def test_a_number_is_of_the_new_release(self, metrics: PrometheusMetrics) -> None:
        """`{release}` stands for `r2`; a scalar and a vector of one value are both a number."""
        marked = 'label_replace(vector({}), "release", "{}", "", "")'
        query = f"{marked.format(7, 'r2')} and on(release) {marked.format(1, '{release}')}"
        custom = [Number(name="vector", query=query), Number(name="scalar", query="1.5")]
        sample = await metrics.read(a_comparison(), custom)
        assert (sample.numbers, sample.failures) == ({"vector": 7.0, "scalar": 1.5}, {})

    async def test_events_are_of_both_releases(self, metrics: PrometheusMetrics) -> None:
        """Each release has its own bad and all events."""
        bad = 'scalar(label_replace(vector(1), "r", "r1", "", "") and on(r) label_replace(vector(1), "r", "{release}", "", ""))'
        custom = [Events(name="jobs", bad=f"vector(({bad} == bool 1) * 3)", total="vector(40)")]
        sample = await metrics.read(a_comparison(), custom)
        assert (of(sample, 1).custom, of(sample, 2).custom) == ({"jobs": (3.0, 40.0)}, {"jobs": (0.0, 40.0)})

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("sum(", "refused the query: .*parse error"),
            ("up == 2", "gave no value: .*or vector"),
            ('{job="bleen-gateways"}', "gave [0-9]+ values instead of one"),
            ("vector(0) / vector(0)", "gave NaN"),
            ("vector(1) / vector(0)", r"gave \+Inf"),
            ("up[1m]", "gave a matrix instead of a number"),
            ('"text"', "gave a string instead of a number"),
        ],
    )
    async def test_a_query_that_gives_no_number_says_why(
        self, query: str, words: str, prometheus: PrometheusRun, metrics: PrometheusMetrics
    ) -> None:
        """None of them is a number, and none is a zero; the golden signals are there all the same."""
        custom = [Number(name="heap", query=query), Events(name="jobs", bad=query, total="vector(1)")]
        sample = await metrics.read(a_comparison(), custom)
        assert sample.numbers == {} and of(sample, 2).custom == {} and len(sample.releases) == 2
        assert all(re.search(words, sample.failures[name]) for name in ("heap", "jobs")), sample.failures

    async def test_the_composition_asks_the_same_prometheus(
        self, prometheus: PrometheusRun, page: StatsPage, metrics: PrometheusMetrics
    ) -> None:
        """Golden signals from one place, numbers from Prometheus."""
        both = CustomMetrics(MemoryMetrics(), MemoryFleets(), prometheus.url)
        sample = await both.read(a_comparison(), [Number(name="heap", query=f'up{{instance="{page.target}"}}')])
        assert (sample.numbers, sample.failures) == ({"heap": 1.0}, {})
        await both.close()
