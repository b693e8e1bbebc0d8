"""Metrics of one's own: commands that run, pages that are served, and what becomes of a sample without them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from msgspec import structs

from bleen.domain.canary import Events, Metric, Number
from bleen.domain.comparison import Comparison
from bleen.domain.errors import Unreachable
from bleen.domain.fleet import FleetOrder, Slot
from bleen.domain.release import Runtime
from bleen.domain.signals import Load, Sample
from bleen.domain.traffic import Colour
from bleen.providers.custom import CustomMetrics
from bleen.providers.envoy.ports import free_port
from bleen.providers.memory.fleets import Behaviour, MemoryFleets
from bleen.providers.memory.metrics import MemoryMetrics
from tests.contracts.metrics import MetricsContract, a_comparison, of
from tests.fixtures.envoy import until
from tests.providers.test_memory_metrics import MemoryTraffic

JOBS = Events(name="jobs", bad="jobs_failed_total", total="jobs_total", page="/metrics")


@pytest.fixture
def golden() -> MemoryMetrics:
    return MemoryMetrics()


@pytest.fixture
def fleets() -> MemoryFleets:
    return MemoryFleets()


@pytest.fixture
async def metrics(golden: MemoryMetrics, fleets: MemoryFleets) -> AsyncIterator[CustomMetrics]:
    metrics = CustomMetrics(golden, fleets, command_patience=1.0)
    yield metrics
    await metrics.close()


@pytest.fixture
def traffic(golden: MemoryMetrics) -> MemoryTraffic:
    return MemoryTraffic(golden)


class TestTheCompositionKeepsThePort(MetricsContract):
    """Golden signals pass through it as they are."""


async def settled(metrics: CustomMetrics, *custom: Metric) -> Sample:
    """Return the first sample that tells each of ``custom``, or why not."""
    sample = await metrics.read(a_comparison(), custom)

    async def told() -> bool:
        nonlocal sample
        found = {*sample.numbers, *sample.failures, *(name for each in sample.releases for name in each.custom)}
        if found == {each.name for each in custom}:
            return True
        sample = await metrics.read(a_comparison(), custom)
        return False

    await until(told)
    return sample


def a_command(script: str) -> Number:
    """Return the number that ``script`` prints."""
    return Number(name="number", run=("sh", "-c", script))


class TestCommands:
    """Numbers that a command prints."""

    @pytest.mark.parametrize(
        ("script", "number"),
        [("echo 7", 7.0), ("echo reading; echo ' -1.5e3 '", -1500.0), ("echo noise >&2; echo 0", 0.0)],
    )
    async def test_the_last_line_is_the_number(self, script: str, number: float, metrics: CustomMetrics) -> None:
        """What comes before it, or on standard error, is for people."""
        sample = await settled(metrics, a_command(script))
        assert (sample.numbers, sample.failures) == ({"number": number}, {})

    async def test_it_is_told_what_it_measures(self, metrics: CustomMetrics) -> None:
        """Release, service and environment are in its environment, beside what the controller has."""
        told = '"$BLEEN_RELEASE $BLEEN_BASELINE $BLEEN_SERVICE $BLEEN_ENVIRONMENT"'
        script = f'test {told} = "r2 r1 hello dev" && test "$PATH" && echo 1'
        assert (await settled(metrics, a_command(script))).numbers == {"number": 1.0}

    @pytest.mark.parametrize(
        ("run", "words"),
        [
            (("sh", "-c", "echo out of reach >&2; echo 7; exit 3"), "sh ended with exit 3: out of reach"),
            (("sh", "-c", "kill -9 $$"), "sh ended with signal 9"),
            (("true",), "true printed nothing: its last line must be a number"),
            (("echo", "7 ms"), "echo printed '7 ms': its last line must be a number"),
            (("echo", "nan"), "echo printed nan: that is no number to compare"),
            (("/no/such/command",), "cannot execute '/no/such/command': No such file"),
            (("sleep", "30"), "sleep was not finished after 1 s: it was killed"),
        ],
    )
    async def test_a_command_without_a_number_says_why(self, run: tuple[str, ...], words: str, metrics: CustomMetrics) -> None:
        """Every way to fail is a failure with its reason, and no number."""
        sample = await settled(metrics, Number(name="number", run=run))
        assert sample.numbers == {} and sample.failures["number"].startswith(words), sample.failures

    async def test_a_command_that_times_out_leaves_no_children(self, metrics: CustomMetrics, tmp_path: Path) -> None:
        """What the command started is killed with it."""
        mark = tmp_path / "still-here"
        await settled(metrics, a_command(f"(sleep 1.5; touch {mark}) & sleep 30"))
        await asyncio.sleep(0.8)
        assert not mark.exists()

    async def test_golden_signals_do_not_wait_for_a_slow_command(
        self, golden: MemoryMetrics, metrics: CustomMetrics, tmp_path: Path
    ) -> None:
        """The first sample has the requests; a later one has the number, of the one run that was started."""
        golden.add("hello", 2, 5)
        gate, runs = tmp_path / "gate", tmp_path / "runs"
        slow = a_command(f"echo run >>{runs}; until test -e {gate}; do sleep 0.02; done; echo 7")
        sample = await metrics.read(a_comparison(), [slow])
        assert (of(sample, 2).requests, sample.numbers, sample.failures) == (5, {}, {})
        gate.touch()
        assert (await settled(metrics, slow)).numbers == {"number": 7.0}
        assert runs.read_text() == "run\n"

    async def test_each_value_is_told_once(self, metrics: CustomMetrics, tmp_path: Path) -> None:
        """A second reading is another run: a value is never told again as a new one."""
        count = tmp_path / "count"
        counting = a_command(f"echo run >>{count}; wc -l <{count}")
        assert [(await settled(metrics, counting)).numbers["number"] for _ in range(3)] == [1.0, 2.0, 3.0]


class Pages:
    """Instances that show metrics pages, at the addresses that a fleet in memory gives them."""

    def __init__(self, fleets: MemoryFleets) -> None:
        self._fleets = fleets
        self._port = free_port("0.0.0.0")
        self._runners: dict[str, web.AppRunner] = {}
        self.texts: dict[str, str] = {}
        """By instance."""

    async def launch(self, colour: Colour, release: int, size: int, image: str = "sha256:1") -> None:
        """Run a fleet whose instances have counted nothing."""
        slot = Slot("dev", "local", "hello", colour)
        runtime = Runtime(command=("serve",), port=self._port)
        await self._fleets.launch(FleetOrder(slot, release, image, size, runtime))
        for fleet in await self._fleets.observe("hello"):
            for instance in fleet.instances:
                if instance.name not in self._runners:
                    self.show(instance.name, 0, 0)
                    await self._serve(instance.name, instance.address)

    def show(self, instance: str, bad: float, total: float) -> None:
        """Let the page of ``instance`` show that."""
        self.texts[instance] = (
            "# TYPE jobs counter\n"
            f'jobs_total{{queue="mail"}} {total - 1 if total else 0}\njobs_total{{queue="pay"}} {1 if total else 0}\n'
            f"# TYPE jobs_failed counter\njobs_failed_total {bad}\n"
        )

    async def _serve(self, name: str, address: str) -> None:
        async def answer(_: web.Request) -> web.Response:
            text = self.texts[name]
            return web.Response(text=text, status=500 if text == "broken" else 200)

        app = web.Application()
        app.router.add_get("/metrics", answer)
        runner = self._runners[name] = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, address, self._port).start()

    async def stop(self, name: str) -> None:
        """Let an instance answer no more."""
        await self._runners[name].cleanup()

    async def close(self) -> None:
        """Stop all."""
        for runner in self._runners.values():
            await runner.cleanup()


BLUE, GREEN, GREEN_TOO = "hello-blue-r1-1", "hello-green-r2-1", "hello-green-r2-2"


@pytest.fixture
async def pages(fleets: MemoryFleets) -> AsyncIterator[Pages]:
    pages = Pages(fleets)
    await pages.launch(Colour.BLUE, 1, 1)
    await pages.launch(Colour.GREEN, 2, 2)
    yield pages
    await pages.close()


class TestPages:
    """Events that instances count themselves."""

    async def test_counters_are_summed_over_instances_and_labels(self, pages: Pages, metrics: CustomMetrics) -> None:
        """Each release has the sums of its own instances."""
        pages.show(BLUE, 1, 10)
        pages.show(GREEN, 2, 20)
        pages.show(GREEN_TOO, 3, 30)
        sample = await settled(metrics, JOBS)
        assert (of(sample, 1).custom, of(sample, 2).custom) == ({"jobs": (1.0, 10.0)}, {"jobs": (5.0, 50.0)})
        assert sample.failures == {}

    async def test_a_restarted_instance_takes_nothing_away(
        self, pages: Pages, fleets: MemoryFleets, metrics: CustomMetrics
    ) -> None:
        """It counts from zero again, known by its process or by its counters, and the sums go on."""
        pages.show(GREEN, 2, 20)
        await settled(metrics, JOBS)
        pages.show(GREEN, 1, 5)
        assert of(await settled(metrics, JOBS), 2).custom == {"jobs": (3.0, 25.0)}
        fleets.kill(Slot("dev", "local", "hello", Colour.GREEN))
        pages.show(GREEN, 4, 8)
        assert of(await settled(metrics, JOBS), 2).custom == {"jobs": (7.0, 33.0)}

    async def test_an_instance_that_left_takes_nothing_away(self, pages: Pages, metrics: CustomMetrics) -> None:
        """What it had counted stays counted when the fleet is smaller."""
        pages.show(GREEN_TOO, 3, 30)
        await settled(metrics, JOBS)
        await pages.launch(Colour.GREEN, 2, 1)
        pages.show(GREEN, 1, 1)
        assert of(await settled(metrics, JOBS), 2).custom == {"jobs": (4.0, 31.0)}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("broken", "hello-green-r2-1/metrics was answered 500"),
            ("jobs_total 1\n", "hello-green-r2-1/metrics has no counter jobs_failed_total"),
            ("", "hello-green-r2-1/metrics has no counter jobs_failed_total"),
            ("<html>no metrics here</html>", "the metrics page cannot be read"),
            ("jobs_failed_total NaN\njobs_total 1\n", "hello-green-r2-1/metrics has a jobs_failed_total that is no number"),
            ("# " + "x" * 9_000_000, "hello-green-r2-1/metrics is too long"),
        ],
    )
    async def test_a_page_without_the_counters_says_why(
        self, text: str, words: str, pages: Pages, metrics: CustomMetrics
    ) -> None:
        """One ready instance that does not tell is enough: its events are unknown, not none."""
        pages.texts[GREEN] = text
        sample = await settled(metrics, JOBS)
        assert of(sample, 2).custom == {} and sample.failures["jobs"].startswith(words), sample.failures

    async def test_an_instance_that_does_not_answer_says_so(self, pages: Pages, metrics: CustomMetrics) -> None:
        """A refused connection is a failure with the instance's name."""
        await pages.stop(BLUE)
        assert (await settled(metrics, JOBS)).failures["jobs"].startswith("hello-blue-r1-1/metrics did not answer")

    async def test_an_instance_that_is_not_ready_is_not_asked(
        self, pages: Pages, fleets: MemoryFleets, metrics: CustomMetrics
    ) -> None:
        """It has served nobody yet, and whatever its page shows is none of the release's events."""
        fleets.behaviours["sha256:1"] = Behaviour(ready_after=None)
        pages.show(GREEN, 1, 10)
        await pages.stop(GREEN_TOO)
        sample = await settled(metrics, JOBS)
        assert (of(sample, 2).custom, sample.failures) == ({"jobs": (0.0, 0.0)}, {})

    async def test_fleets_that_cannot_be_seen_are_a_failure(
        self, pages: Pages, fleets: MemoryFleets, metrics: CustomMetrics
    ) -> None:
        """Without the host agent nobody knows whom to ask."""
        fleets.answers = False
        assert (await settled(metrics, JOBS)).failures["jobs"]


async def test_a_query_without_a_prometheus_says_what_to_set(metrics: CustomMetrics) -> None:
    """The failure names the setting."""
    sample = await settled(metrics, Number(name="heap", query="heap"), Events(name="mails", bad="a", total="b"))
    assert all("BLEEN_PROMETHEUS_URL" in sample.failures[name] for name in ("heap", "mails"))


async def test_without_golden_signals_there_is_no_sample(golden: MemoryMetrics, metrics: CustomMetrics) -> None:
    """Custom metrics alone do not make up for gateways that are silent."""
    golden.answers = False
    with pytest.raises(Unreachable):
        await metrics.read(a_comparison(), [a_command("echo 1")])


async def test_what_was_asked_for_another_release_is_not_told(metrics: CustomMetrics, tmp_path: Path) -> None:
    """A number that arrives after the rollout it was read for belongs to nobody."""
    gate = tmp_path / "gate"
    slow = a_command(f"until test -e {gate}; do sleep 0.02; done; echo $BLEEN_RELEASE | tr -d r")
    await metrics.read(a_comparison(), [slow])
    gate.touch()
    later = structs.replace(a_comparison(), canary=3)

    async def told() -> bool:
        sample = await metrics.read(later, [slow])
        assert sample.numbers in ({}, {"number": 3.0})
        return bool(sample.numbers)

    await until(told)


async def test_loads_are_told_where_they_can_be_seen(golden: MemoryMetrics, fleets: MemoryFleets) -> None:
    """Saturation is in the sample; without it, the rest is."""

    async def seen(_: Comparison) -> tuple[Load, ...]:
        return (Load(2, 1.5, 1 << 20),)

    async def unseen(_: Comparison) -> tuple[Load, ...]:
        raise Unreachable("the host agent did not answer")

    for loads, told in ((seen, (Load(2, 1.5, 1 << 20),)), (unseen, ())):
        metrics = CustomMetrics(golden, fleets, loads=loads)
        sample = await metrics.read(a_comparison())
        assert (sample.loads, len(sample.releases)) == (told, 2)
        await metrics.close()
