"""What was counted: counters as they stand, what happened between two samples, and a tick that is not over."""

from collections.abc import Sequence

from msgspec import structs

from bleen.domain.codec import Value
from bleen.domain.edges import tails
from bleen.domain.signals import Counters


class Counted(Value, frozen=True):
    """What one release met: since its counters began, or between two samples."""

    requests: int = 0
    failed: int = 0
    answered: int = 0
    """Answers with a latency."""
    slow: tuple[int, ...] = ()
    """Of those, for each edge, the slower ones."""


class Pending(Value, frozen=True):
    """A tick that is not over: it ends once both releases had a request, however rare they are."""

    canary: Counted = Counted()
    baseline: Counted = Counted()
    seconds: float = 0.0


def told(counters: Counters | None, edges: Sequence[float]) -> Counted:
    """Return ``counters`` as they stand; a release that never met a request has counted none."""
    if counters is None:
        return Counted(slow=(0,) * len(edges))
    slow = tails(counters.latency, edges)
    return Counted(counters.requests, counters.failed, counters.latency.total, slow)


def mark(before: Counted | None, counters: Counters | None, now: Counted, anew: bool) -> Counted | None:
    """Return what the next sample is subtracted from; ``anew`` where the counters have just begun.

    A release that was told and is not any more has unknown counters: were they taken for none, all its past would be counted
    again when it comes back.
    """
    vanished = counters is None and not anew and (before is None or before.requests > 0)
    return None if vanished else now


def difference(before: Counted | None, now: Counted) -> Counted | None:
    """Return what happened between two samples; None where the counters began anew."""
    if before is None or now.requests < before.requests or now.failed < before.failed or now.answered < before.answered:
        return None
    requests, failed = now.requests - before.requests, now.failed - before.failed
    if len(before.slow) != len(now.slow):
        return Counted(requests, failed, 0, (0,) * len(now.slow))
    slow = tuple(n - b for n, b in zip(now.slow, before.slow, strict=True))
    return None if slow and min(slow) < 0 else Counted(requests, failed, now.answered - before.answered, slow)


def untimed(counted: Counted) -> Counted:
    """Return ``counted`` without its latencies."""
    return structs.replace(counted, answered=0, slow=(0,) * len(counted.slow))


def joined(one: Pending, other: Pending) -> Pending:
    """Return what happened in both."""
    return Pending(_both(one.canary, other.canary), _both(one.baseline, other.baseline), one.seconds + other.seconds)


def _both(one: Counted, other: Counted) -> Counted:
    if not one.requests and not one.answered and not one.failed:
        return other
    slow = tuple(a + b for a, b in zip(one.slow or (0,) * len(other.slow), other.slow, strict=True))
    return Counted(one.requests + other.requests, one.failed + other.failed, one.answered + other.answered, slow)
