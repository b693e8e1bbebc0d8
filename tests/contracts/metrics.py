"""The kit of the port `Metrics`: subclass `MetricsContract`.

It needs the fixtures ``metrics``, a provider that asks for no custom metric, and ``traffic``, which makes requests meet
release 1 or 2 of the service ``hello`` in ``dev``.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import pytest

from bleen.domain.canary import Analysis, Events, Number
from bleen.domain.comparison import Comparison, Phase
from bleen.domain.errors import Unreachable
from bleen.domain.signals import Counters, Sample
from bleen.ports import Metrics
from tests.fixtures.envoy import until


class Traffic(Protocol):
    """What a kit does to the releases."""

    async def ask(self, release: int, status: int = 200, seconds: float = 0.0, *, baseline: bool = False) -> None:
        """Let one request meet ``release``, or its baseline fleet, answered with ``status`` after ``seconds``."""

    async def silence(self) -> None:
        """Let nobody count any more."""

    async def restart(self) -> None:
        """Let the counters begin anew."""


def a_comparison(baseline: int = 1, canary: int = 2, service: str = "hello", *, fair: bool = False) -> Comparison:
    """Return what is asked while release 2 runs beside release 1, or beside the baseline fleet of it."""
    return Comparison(
        environment="dev",
        service=service,
        step=1,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        canary=canary,
        baseline=baseline,
        phase=Phase.BESIDE,
        analysis=Analysis(),
        fair=fair,
    )


def of(sample: Sample, release: int) -> Counters:
    """Return the counters of ``release``, which are there."""
    found = sample.of(release)
    assert found is not None
    return found


async def read_until(metrics: Metrics, holds: Callable[[Sample], bool], *, fair: bool = False) -> Sample:
    """Return the first sample for which ``holds``: what counts may lag behind what happened."""
    asked = a_comparison(fair=fair)
    sample = await metrics.read(asked)

    async def read() -> bool:
        nonlocal sample
        sample = await metrics.read(asked)
        return holds(sample)

    await until(read)
    return sample


def has(release: int, requests: int, *, timed: bool = True) -> Callable[[Sample], bool]:
    """Return whether a sample has counted so many requests, and their latencies, at ``release``."""

    def holds(sample: Sample) -> bool:
        counted = of(sample, release)
        return (counted.requests, counted.latency.total) == (requests, requests * timed)

    return holds


class MetricsContract:
    """What the port promises."""

    timed = True
    """Whether the provider counts latencies: one that has none of them tells none."""

    def has(self, release: int, requests: int) -> Callable[[Sample], bool]:
        """Return whether a sample has counted so many requests, and their latencies, at ``release``."""
        return has(release, requests, timed=self.timed)

    async def test_a_release_that_met_nothing_has_counters_at_zero(self, metrics: Metrics, traffic: Traffic) -> None:
        """Both releases are told, so that their first requests are a difference to something."""
        sample = await metrics.read(a_comparison(7, 8))
        assert [(each.release, each.requests, each.failed, each.latency.total) for each in sample.releases] == [
            (7, 0, 0, 0),
            (8, 0, 0, 0),
        ]

    async def test_each_release_is_told_its_own_requests(self, metrics: Metrics, traffic: Traffic) -> None:
        """Requests count once, at the release that answered them, by class; those of the class 5xx have failed."""
        for status in (200, 200, 404):
            await traffic.ask(1, status)
        for status in (200, 500, 503, 404):
            await traffic.ask(2, status)
        sample = await read_until(metrics, lambda s: self.has(1, 3)(s) and self.has(2, 4)(s))
        assert (of(sample, 1).classes, of(sample, 1).failed) == ({"2xx": 2, "4xx": 1}, 0)
        assert (of(sample, 2).classes, of(sample, 2).failed) == ({"2xx": 1, "4xx": 1, "5xx": 2}, 2)

    async def test_a_baseline_fleet_is_told_apart(self, metrics: Metrics, traffic: Traffic) -> None:
        """What it meets is its own, and not its release's; to ask for one or the other is to ask of another epoch."""
        for status in (500, 404, 200):
            await traffic.ask(1, status, baseline=True)
        for release, status in ((1, 200), (1, 404), (2, 200)):
            await traffic.ask(release, status)
        fair = await read_until(metrics, lambda s: self.has(1, 3)(s) and self.has(2, 1)(s), fair=True)
        assert (of(fair, 1).classes, of(fair, 1).failed) == ({"2xx": 1, "4xx": 1, "5xx": 1}, 1)
        assert (of(fair, 2).classes, of(fair, 2).failed) == ({"2xx": 1}, 0)
        plain = await read_until(metrics, lambda s: self.has(1, 2)(s) and self.has(2, 1)(s))
        assert of(plain, 1).classes == {"2xx": 1, "4xx": 1}
        assert plain.epoch != fair.epoch

    async def test_latencies_lie_in_their_buckets(self, metrics: Metrics, traffic: Traffic) -> None:
        """Edges ascend, and a slow answer is slower than a fast one."""
        for _ in range(3):
            await traffic.ask(2)
        await traffic.ask(2, seconds=0.3)
        latency = of(await read_until(metrics, self.has(2, 4)), 2).latency
        assert latency.edges == tuple(sorted(set(latency.edges)))
        assert (latency.total, latency.slower(250), latency.slower(1000)) == (4, 1, 0)
        assert (latency.quantile(1.0) or 0) >= 300

    async def test_counters_never_go_down(self, metrics: Metrics, traffic: Traffic) -> None:
        """What was counted stays counted, and what comes is added."""
        await traffic.ask(2, 500)
        first = await read_until(metrics, self.has(2, 1))
        await traffic.ask(2)
        second = await read_until(metrics, self.has(2, 2))
        assert second.epoch == first.epoch
        assert (of(second, 2).classes, of(second, 2).failed) == ({"2xx": 1, "5xx": 1}, 1)
        assert second.at > first.at

    async def test_services_do_not_see_each_other(self, metrics: Metrics, traffic: Traffic) -> None:
        """A service named as the beginning of another has counters of its own."""
        await traffic.ask(1)
        await read_until(metrics, self.has(1, 1))
        for service in ("hell", "hello-again", "h.llo"):
            assert of(await metrics.read(a_comparison(service=service)), 1).requests == 0

    async def test_other_counters_have_another_epoch(self, metrics: Metrics, traffic: Traffic) -> None:
        """After what counts was restarted, the sample says that it is not to be subtracted from the one before."""
        await traffic.ask(1)
        before = await read_until(metrics, self.has(1, 1))
        await traffic.restart()
        assert (await metrics.read(a_comparison())).epoch != before.epoch

    async def test_silence_is_no_zero(self, metrics: Metrics, traffic: Traffic) -> None:
        """Where nobody counts, nothing is told (law 9)."""
        await traffic.silence()
        with pytest.raises(Unreachable):
            await metrics.read(a_comparison())

    async def test_a_custom_metric_that_cannot_be_read_says_why(self, metrics: Metrics, traffic: Traffic) -> None:
        """It raises nothing, hides nothing else, and leaves no number."""
        await traffic.ask(1)
        await read_until(metrics, self.has(1, 1))
        custom = [Number(name="heap", query="nonsense("), Events(name="jobs", bad="nonsense(", total="nonsense(")]
        sample = await metrics.read(a_comparison(), custom)
        assert set(sample.failures) == {"heap", "jobs"} and all(sample.failures.values())
        assert (sample.numbers, of(sample, 2).custom, of(sample, 1).requests) == ({}, {}, 1)
