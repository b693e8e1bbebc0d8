"""Golden signals from two samples."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from bleen.domain.signals import Counters, Histogram, Load, Sample, golden

START = datetime(2026, 1, 1, tzinfo=UTC)
OLD = Counters(2, 100, 1, {"2xx": 99, "5xx": 1}, {"reset": 1}, Histogram((5.0, 10.0), (90, 9), 1))
NEW = Counters(2, 300, 3, {"2xx": 297, "5xx": 3}, {"reset": 1}, Histogram((5.0, 10.0, 20.0), (180, 99, 10), 1), 12, 3)
BEFORE = Sample(START, (OLD,), "a", (Load(2, 5.0, 100),))
NOW = Sample(START + timedelta(seconds=4), (NEW,), "a", (Load(2, 7.0, 200),))


def test_signals_are_of_the_time_between_two_samples() -> None:
    """Traffic, errors, latency, saturation: of what came after the first sample only."""
    seen = golden(BEFORE, NOW, 2)
    assert seen is not None
    assert (seen.rate, seen.failed) == (50.0, 1.0)
    assert (seen.p50, seen.p95, seen.p99) == (10.0, 20.0, 20.0)
    assert seen.classes == {"2xx": 49.5, "5xx": 0.5} and seen.reasons == {}
    assert (seen.connections, seen.pending, seen.cpu, seen.memory) == (12, 3, 0.5, 200)


def test_a_quiet_release_has_no_latency_and_no_errors() -> None:
    """Nothing is divided by nothing."""
    quiet = golden(BEFORE, structs.replace(NOW, releases=(OLD,)), 2)
    assert quiet is not None
    assert (quiet.rate, quiet.failed, quiet.p95, quiet.classes) == (0.0, 0.0, None, {})


@pytest.mark.parametrize(
    "now",
    [
        structs.replace(NOW, epoch="b"),
        structs.replace(NOW, at=START),
        structs.replace(NOW, at=START - timedelta(hours=1)),
        structs.replace(NOW, releases=(structs.replace(NEW, requests=5),)),
        structs.replace(NOW, releases=()),
    ],
)
def test_counters_that_began_anew_and_clocks_that_jumped_tell_nothing(now: Sample) -> None:
    """Rather than a wrong number, none."""
    assert golden(BEFORE, now, 2) is None
