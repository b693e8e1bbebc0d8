"""Edges: the latencies beyond which requests count as slow, so that a histogram becomes counts of bad events."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import log

from bleen.domain.codec import Value
from bleen.domain.signals import Histogram


class Edge(Value, frozen=True):
    """A latency beyond which requests count as slow."""

    baseline: float
    """In ms, of the baseline."""
    canary: float
    """In ms, of the canary: a little later, where the difference of two machines would otherwise weigh as a fault."""
    tail: float
    """The share of the baseline's requests that took longer, when it was chosen."""


TAILS = (0.6, 0.4, 0.27, 0.18, 0.12, 0.08, 0.05, 0.033, 0.021, 0.013, 0.008, 0.005)
"""Shares of the baseline's requests beyond the edges: even in their logarithm, where faults of latency show."""
MOST = 0.65
"""Beyond an edge that more are beyond, no release can have 1.5 times as many."""
MACHINES = 1.12
"""Machines differ: a canary this many times as slow at an edge is no worse than one, however alike the latencies are."""
KNOWN = 60
"""Requests beyond an edge that show how latencies lie around it; fewer are chance. A harmless rollout of 800 simulated ones was
taken back for machines 11 % slower, at an edge that 14 requests had placed."""
JITTER = 0.5
"""Milliseconds of difference that no user feels: a gateway's and a kernel's own."""


def since(before: Histogram, now: Histogram) -> Histogram:
    """Return the latencies counted after ``before``; the two may tell different buckets."""
    slower = zip(tails(now, now.edges), tails(before, now.edges), strict=True)
    faster = [now.total - new - (before.total - old) for new, old in slower]
    counts = tuple(max(0, after - until) for until, after in pairwise([0, *faster]))
    return Histogram(now.edges, counts, max(0, now.beyond - before.beyond))


def tails(histogram: Histogram, edges: Sequence[float]) -> tuple[int, ...]:
    """Return for each of ``edges`` what `Histogram.slower` tells, in one pass over the buckets."""
    bounds, within = histogram.edges, (0, *accumulate(histogram.counts))
    total = within[-1] + histogram.beyond
    return tuple([total - within[bisect_right(bounds, edge)] for edge in edges])


def choose(usual: Histogram, tolerated: float) -> tuple[Edge, ...]:
    """Return the edges at which latencies are compared, ascending: quantiles of ``usual``, the baseline's own latencies.

    At an edge ``tolerated`` times as many slow requests are tolerated. Where latencies are so alike that a slow-down of less
    than `MACHINES` makes that many, the canary's are counted beyond a later edge: it is the difference of two machines. Where
    fewer than `KNOWN` lie beyond, how many it makes is not known, and all of `MACHINES` is granted. Where one bucket holds them
    all, its bound is the only edge.
    """
    total = usual.total
    slower = zip(usual.edges, tails(usual, usual.edges), strict=True)
    curve = [(bound, slow / total) for bound, slow in slower if 0 < slow < total]
    chosen: dict[float, Edge] = {}
    for wanted in TAILS:
        near = min(curve, key=lambda point: abs(log(point[1] / wanted)), default=None)
        if near is not None and wanted / 1.6 < near[1] < min(wanted * 1.6, MOST):
            bound, tail = near
            reached = quantile(curve, min(tolerated * tail, 0.99)) if tail * total >= KNOWN else bound
            later = max(MACHINES * reached, bound + JITTER, bound)
            chosen[bound] = Edge(bound, _told(usual.edges, later, bound), tail)
    if not chosen and total:
        last = usual.quantile(1.0) or usual.edges[-1]
        return (Edge(last, max(MACHINES * last, last + JITTER), usual.slower(last) / total),)
    return tuple(chosen[bound] for bound in sorted(chosen))


def quantile(curve: Sequence[tuple[float, float]], tail: float) -> float:
    """Return the latency beyond which ``tail`` lies, between the bounds of a bucket evenly in both logarithms."""
    for (low, many), (high, few) in pairwise(curve):
        if few <= tail <= many:
            part = log(many / tail) / log(many / few) if many > few else 0.0
            return float(low * (high / low) ** part)
    return curve[0][0] if tail > curve[0][1] else curve[-1][0]


def _told(bounds: Sequence[float], wanted: float, least: float) -> float:
    """Return the bound nearest to ``wanted``, from ``least`` on: between two nobody counts. Beyond the last, ``wanted``."""
    if wanted > bounds[-1]:
        return wanted
    return min((bound for bound in bounds if bound >= least), key=lambda bound: abs(log(bound / wanted)))
