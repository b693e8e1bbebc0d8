"""What an Envoy counts, against requests that were really sent."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import httpx
import msgspec
import pytest

from bleen.domain.errors import Unreachable
from bleen.domain.traffic import WHOLE, Colour, Endpoint, Mirror, Route, Split
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.gateway import EnvoyGateway
from bleen.providers.envoy.stats import EnvoyMetrics
from tests.contracts.gateway import fair
from tests.contracts.metrics import MetricsContract, a_comparison, has, of, read_until
from tests.fixtures.envoy import EnvoyRun, Instances
from tests.fixtures.misbehaving import Misbehaving
from tests.providers.envoy.world import World


@pytest.fixture
async def metrics(envoy: EnvoyRun) -> AsyncIterator[EnvoyMetrics]:
    metrics = EnvoyMetrics([envoy.place])
    yield metrics
    await metrics.close()


@pytest.fixture
async def server() -> AsyncIterator[Misbehaving]:
    async with Misbehaving() as server:
        yield server


@pytest.fixture
async def traffic(envoy: EnvoyRun, world: World) -> "EnvoyTraffic":
    await both_releases(world)
    return EnvoyTraffic(envoy, world)


async def both_releases(world: World) -> None:
    """Run release 1 in blue and release 2 in green, with a half each."""
    await world.fill(Colour.BLUE, 1, "b1")
    await world.fill(Colour.GREEN, 2, "g1")
    await world.gateway.set_route(a_route(), 1)


def a_route(weight: int = 5_000) -> Route:
    """Return the route of a canary."""
    return Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN, weight), blue=1, green=2)


class EnvoyTraffic:
    """Real requests through a real Envoy."""

    def __init__(self, envoy: EnvoyRun, world: World) -> None:
        self.envoy = envoy
        self.world = world
        self.beside: tuple[Endpoint, ...] = ()

    async def ask(self, release: int, status: int = 200, seconds: float = 0.0, *, baseline: bool = False) -> None:
        if baseline:
            await self._beside()
        path = f"/slow/{seconds}" if seconds else f"/status/{status}"
        answer = await self.world.ask(path, x_bleen_release="baseline" if baseline else f"r{release}")
        assert answer.status_code == status and answer.headers["x-bleen-release"] == f"r{release}"

    async def _beside(self) -> None:
        """Run a baseline fleet of release 1 beside blue."""
        if not self.beside:
            self.beside = await self.world.fill(Colour.BLUE, 1, "b1-baseline", baseline=True)
            await self.world.gateway.set_route(fair(a_route(), 100), 2)

    async def silence(self) -> None:
        self.envoy.kill()

    async def restart(self) -> None:
        self.envoy.kill()
        await self.envoy.start()


class TestEnvoyKeepsThePort(MetricsContract):
    """Real Envoy, real requests."""


@pytest.fixture
async def broken(world: World, server: Misbehaving, metrics: EnvoyMetrics) -> "Misbehaving":
    """A server that misbehaves is release 2, and has all the traffic."""
    await world.fill(Colour.BLUE, 1, "b1")
    await world.backends.set_backend(world.backend(Colour.GREEN, 2, (server.endpoint,)))
    await world.gateway.set_route(a_route(10_000), 1)
    await metrics.read(a_comparison())
    return server


class TestEveryRequestCountsOnce:
    """Whatever becomes of it."""

    @pytest.mark.parametrize(
        ("method", "path", "status", "attempts"),
        [
            ("GET", "/close", 503, 4),
            ("POST", "/close", 503, 1),
            ("POST", "/reset", 503, 1),
            ("GET", "/garbage", 502, 4),
        ],
    )
    async def test_a_request_that_nobody_answered_failed_once(
        self, method: str, path: str, status: int, attempts: int, world: World, broken: Misbehaving, metrics: EnvoyMetrics
    ) -> None:
        """Envoy's own answer is the failure; the attempts in vain before it are reasons only."""
        assert (await world.ask(path, method=method)).status_code == status
        counted = of(await metrics.read(a_comparison()), 2)
        assert broken.asked == [path] * attempts
        assert (counted.requests, counted.failed, counted.classes) == (1, 1, {"5xx": 1})

    async def test_many_at_once_are_all_counted(self, traffic: "EnvoyTraffic", metrics: EnvoyMetrics) -> None:
        """The counters are what the clients saw, to the last request, whatever split sent them where."""
        statuses = [200, 201, 302, 404, 500, 503] * 40
        async with aiohttp.ClientSession(headers={"host": "hello.localhost"}) as session:

            async def ask(status: int) -> tuple[str, str]:
                url = f"{traffic.world.url}/status/{status}"
                async with session.get(url, allow_redirects=False) as answer:
                    return answer.headers["x-bleen-release"], f"{answer.status // 100}xx"

            seen = Counter(await asyncio.gather(*map(ask, statuses)))
        sample = await read_until(metrics, lambda s: sum(each.latency.total for each in s.releases) == len(statuses))
        for release in (1, 2):
            classes = {name: count for (answered, name), count in seen.items() if answered == f"r{release}"}
            assert of(sample, release).classes == classes and sum(classes.values()) > 0
            assert of(sample, release).failed == classes["5xx"]

    async def test_a_retry_that_succeeds_is_one_success(self, world: World, broken: Misbehaving, metrics: EnvoyMetrics) -> None:
        """The client saw one answer, and it was good."""
        assert (await world.ask("/once/more")).status_code == 200
        counted = of(await metrics.read(a_comparison()), 2)
        assert broken.asked == ["/once/more"] * 2
        assert (counted.requests, counted.failed, counted.reasons) == (1, 0, {"reset": 1})

    async def test_an_answer_that_breaks_off_failed_once(
        self, world: World, broken: Misbehaving, metrics: EnvoyMetrics
    ) -> None:
        """It began as 200: the class says so, and the failure is told all the same."""
        await _left(world, "/cut", patience=0.5)
        counted = of(await metrics.read(a_comparison()), 2)
        assert (counted.requests, counted.failed, counted.classes, counted.reasons["broken"]) == (1, 1, {"2xx": 1}, 1)

    async def test_a_client_that_left_is_no_failure(self, world: World, broken: Misbehaving, metrics: EnvoyMetrics) -> None:
        """Its request was never answered, and the release is not to blame."""
        await _left(world, "/slow", patience=0.1)
        await asyncio.sleep(0.6)
        counted = of(await metrics.read(a_comparison()), 2)
        assert (broken.asked, counted.requests, counted.failed) == (["/slow"], 0, 0)

    async def test_a_client_that_left_half_way_is_no_failure(self, traffic: "EnvoyTraffic", metrics: EnvoyMetrics) -> None:
        """It was answered, as far as it cared to listen."""
        headers = {"host": "hello.localhost", "x-bleen-release": "r2"}
        async with (
            httpx.AsyncClient(trust_env=False, verify=False) as client,
            client.stream("GET", f"{traffic.world.url}/stream/5", headers=headers) as answer,
        ):
            await anext(answer.aiter_bytes())
        counted = of(await read_until(metrics, lambda s: of(s, 2).requests > 0), 2)
        assert (counted.requests, counted.failed, counted.classes) == (1, 0, {"2xx": 1})

    async def test_attempts_in_vain_are_no_answers_that_broke_off(
        self, world: World, broken: Misbehaving, metrics: EnvoyMetrics
    ) -> None:
        """Connections that were closed and messages that could not be parsed, by four attempts each: two failures."""
        for path in ("/close", "/garbage"):
            await world.ask(path)
        counted = of(await metrics.read(a_comparison()), 2)
        assert (counted.requests, counted.failed, counted.reasons.get("broken")) == (2, 2, None)

    async def test_no_client_can_pass_for_a_copy(self, traffic: "EnvoyTraffic", metrics: EnvoyMetrics) -> None:
        """Its request would count twice."""
        pretence = {"x_envoy_internal": "true", "x_forwarded_for": "10.0.0.1", "x_bleen_mirror": "r2"}
        assert (await traffic.world.ask(x_bleen_release="r2", **pretence)).status_code == 200
        assert of(await read_until(metrics, lambda s: of(s, 2).requests > 0), 2).requests == 1

    async def test_nobody_there_is_a_failure(self, world: World, metrics: EnvoyMetrics) -> None:
        """With no instance, or none that listens, Envoy answers 503 for the release, and counts it."""
        nowhere = (Endpoint(address="127.0.0.1", port=1),)
        await world.fill(Colour.BLUE, 1, "b1")
        for number, endpoints in enumerate(((), nowhere), start=1):
            await world.backends.set_backend(world.backend(Colour.GREEN, 2, endpoints))
            await world.gateway.set_route(a_route(10_000), number)
            before = of(await metrics.read(a_comparison()), 2)
            assert (await world.ask()).status_code == 503
            after = of(await metrics.read(a_comparison()), 2)
            assert (after.requests - before.requests, after.failed - before.failed) == (1, 1)
        assert after.reasons["connect"] == 4

    async def test_probes_are_no_requests(self, world: World, metrics: EnvoyMetrics) -> None:
        """The gateway asks for the health path every 200 ms; nobody else asks anything."""
        await world.fill(Colour.GREEN, 2, "g1")
        await asyncio.sleep(0.6)
        counted = of(await metrics.read(a_comparison()), 2)
        assert (counted.requests, counted.latency.total, counted.reasons) == (0, 0, {})

    async def test_a_copy_counts_at_the_release_that_gets_it(
        self, world: World, broken: Misbehaving, metrics: EnvoyMetrics
    ) -> None:
        """Mirrored requests are answered to nobody, and tell of the release all the same."""
        route = msgspec.structs.replace(a_route(0), preview=Colour.GREEN, mirror=Mirror(WHOLE))
        await world.gateway.set_route(route, 2)
        for path in ("/", "/close", "/cut"):
            assert (await world.ask(path)).headers["x-bleen-release"] == "r1"
        sample = await read_until(metrics, lambda s: of(s, 2).requests == 3 and of(s, 2).failed == 2)
        assert (of(sample, 2).classes, of(sample, 2).reasons["broken"]) == ({"2xx": 2, "5xx": 1}, 1)
        assert (of(sample, 1).requests, of(sample, 1).failed) == (3, 0)
        copied = of(await read_until(metrics, lambda s: of(s, 2).latency.total > 0), 2)
        assert copied.latency.total == 1

    async def test_streams_and_websockets_end_without_failure(self, traffic: "EnvoyTraffic", metrics: EnvoyMetrics) -> None:
        """Neither the end of a stream of events nor that of a websocket is an answer that broke off, or a latency."""
        url, headers = traffic.world.url, {"host": "hello.localhost", "x-bleen-release": "r2"}
        assert (await traffic.world.ask("/stream/0.3", x_bleen_release="r2")).text.count("data") == 3
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as socket:
            assert of(await metrics.read(a_comparison()), 2).connections >= 1
            await socket.close()
        async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as socket:
            traffic.world.instances.signal("g1", signal.SIGKILL)
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)
        await read_until(metrics, lambda s: of(s, 2).requests == 3)
        await asyncio.sleep(1.2)
        counted = of(await metrics.read(a_comparison()), 2)
        assert (counted.requests, counted.failed, counted.classes) == (3, 0, {"1xx": 2, "2xx": 1})
        assert counted.latency.total == 0


async def _left(world: World, path: str, patience: float) -> None:
    """Ask, and leave after ``patience`` seconds without a whole answer."""
    async with httpx.AsyncClient(trust_env=False, timeout=patience, verify=False) as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(world.url + path, headers={"host": "hello.localhost"})


class TestCountersSurviveWhatTheyCount:
    """Instances, colours and gateways come and go."""

    async def test_another_instance_takes_nothing_away(self, traffic: "EnvoyTraffic", metrics: EnvoyMetrics) -> None:
        """Classes and latencies are not the cluster's, which changes."""
        world = traffic.world
        await traffic.ask(2, 500)
        await traffic.ask(2)
        first = await read_until(metrics, has(2, 2))
        (seen,) = [each for each in (await world.gateway.observe("dev", "hello"))[0].backends if each.release == 2]
        endpoints = tuple(each.endpoint for each in seen.endpoints)
        for more in ((await world.instances.start("g2"),), ()):
            await world.backends.set_backend(world.backend(Colour.GREEN, 2, (*endpoints, *more)))
            await asyncio.sleep(1.2)
            assert of(await metrics.read(a_comparison()), 2).classes == {"2xx": 1, "5xx": 1}
        await traffic.ask(2, 404)
        last = await read_until(metrics, has(2, 3))
        assert (of(last, 2).classes, of(last, 2).failed) == ({"2xx": 1, "4xx": 1, "5xx": 1}, 1)
        assert last.epoch == first.epoch

    async def test_both_colours_of_a_release_are_one(self, world: World, metrics: EnvoyMetrics) -> None:
        """A release may be in either slot, and in both."""
        await world.fill(Colour.BLUE, 2, "b2")
        await world.fill(Colour.GREEN, 2, "g2")
        await world.gateway.set_route(
            Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN, 5_000), blue=2, green=2), 1
        )
        for colour in Colour:
            await world.ask(x_bleen_release=str(colour))
        assert of(await metrics.read(a_comparison()), 2).requests == 2


class TestSeveralGateways:
    """One Envoy per region."""

    async def test_counters_are_summed_and_one_silence_is_enough(self, home: Path, instances: Instances) -> None:
        """A release's requests are those at all gateways; where one does not answer, the sum is unknown."""
        runs = [EnvoyRun(home, region) for region in ("north", "south")]
        places = [run.place for run in runs]
        metrics, backends = EnvoyMetrics(places), EnvoyBackends(places)
        gateway = EnvoyGateway(places, home / "gateway", services=0)
        try:
            await asyncio.gather(*(run.start() for run in runs))
            worlds = [World(place, gateway, backends, instances) for place in places]
            await worlds[0].fill(Colour.GREEN, 2, "g1")
            await gateway.set_route(Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN), green=2), 1)
            for world in (worlds[0], worlds[1], worlds[1]):
                await world.ask()
            before = await read_until(metrics, has(2, 3))
            runs[0].kill()
            with pytest.raises(Unreachable):
                await metrics.read(a_comparison())
            await runs[0].start()
            assert (await metrics.read(a_comparison())).epoch != before.epoch
        finally:
            for run in runs:
                run.kill()
            for each in (metrics, backends, gateway):
                await each.close()
