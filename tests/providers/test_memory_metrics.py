"""The metrics in memory keep the port, and fail when they are told to."""

import pytest

from bleen.domain.canary import Events, Number
from bleen.domain.codec import decode, encode
from bleen.domain.signals import Load, Sample
from bleen.providers.memory.metrics import MemoryMetrics
from tests.contracts.metrics import MetricsContract, a_comparison, of


class MemoryTraffic:
    """Requests that are only counted."""

    def __init__(self, metrics: MemoryMetrics) -> None:
        self.metrics = metrics

    async def ask(self, release: int, status: int = 200, seconds: float = 0.0, *, baseline: bool = False) -> None:
        self.metrics.add("hello", release, status=status, ms=max(1.0, seconds * 1000), baseline=baseline)

    async def silence(self) -> None:
        self.metrics.answers = False

    async def restart(self) -> None:
        self.metrics.restart()


@pytest.fixture
def metrics() -> MemoryMetrics:
    metrics = MemoryMetrics()
    metrics.failures["jobs"] = "the page is away"
    return metrics


@pytest.fixture
def traffic(metrics: MemoryMetrics) -> MemoryTraffic:
    return MemoryTraffic(metrics)


class TestMemoryKeepsThePort(MetricsContract):
    """The kit."""


async def test_what_it_was_told_is_what_it_tells(metrics: MemoryMetrics) -> None:
    """Events, numbers, loads and unanswered requests are all in the sample, which survives being written down."""
    metrics.add("hello", 2, 3, ms=20.0)
    metrics.add("hello", 2, 2, status=0)
    metrics.add_events("hello", 2, "mails", bad=1, total=4)
    metrics.add_events("hello", 2, "mails", bad=1, total=1)
    metrics.numbers["heap"] = 0.5
    metrics.release("hello", 1).load = (1.5, 1 << 20)
    custom = [Number(name="heap", query="heap"), Events(name="mails", bad="bad", total="all")]
    sample = await metrics.read(a_comparison(), custom)
    counted = of(sample, 2)
    assert (counted.requests, counted.failed, counted.latency.total, counted.reasons) == (5, 2, 3, {"connect": 2})
    assert (counted.custom, sample.numbers, sample.loads) == ({"mails": (2.0, 5.0)}, {"heap": 0.5}, (Load(1, 1.5, 1 << 20),))
    assert decode(encode(sample), Sample) == sample


async def test_a_restart_begins_at_zero(metrics: MemoryMetrics) -> None:
    """Not only the epoch is another one: the counters are too."""
    metrics.add("hello", 1, 10)
    metrics.restart()
    assert of(await metrics.read(a_comparison()), 1).requests == 0
