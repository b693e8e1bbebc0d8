"""What Envoy's counters of a cluster say of a release, whoever read them.

What Envoy 1.40 counts per cluster, as tests/providers/envoy/test_stats.py sees it:

- `upstream_rq_<n>xx` counts one answer per request, when its headers are sent on: the instance's, or Envoy's own 502, 503
  or 504 where retries were in vain. An attempt that was retried counts nowhere here; nor does a request whose client
  left before the answer, nor a probe. A mirrored request counts at the release that got the copy.
- An answer that breaks off half-way has counted as 2xx by then. It shows as a connection that the instance closed under a
  request (`upstream_cx_destroy_remote_with_active_rq`) *and* as a message that could not be parsed to its end
  (`upstream_cx_protocol_error`). Each of the two alone happens with requests that are answered 502 or 503, so
  that the smaller of both is taken.
- Histograms hold two significant digits, in whole ms rounded down, and are merged each second (`stats_flush_interval`): they
  lag behind the counters by a second at most. Requests that no instance answered are in no histogram.
- When a cluster changes (an instance comes or goes), the classes and the histogram begin anew at zero once the old one is
  gone; the rest goes on. An `Odometer` adds them up. What was answered between the last reading and the change is lost, the
  good and the bad: read each second at 300 requests a second, a change cost 0.25 s of requests and 0.5 s of latencies.
"""

from collections.abc import Mapping, Sequence
from math import inf, log10

import msgspec

from bleen.domain.signals import Counters, Histogram
from bleen.domain.traffic import Colour, backend_name
from bleen.providers.odometer import Odometer

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
PARSE, CLOSED = "cx_protocol_error", "cx_destroy_remote_with_active_rq"
REASONS = {
    "timeout": ("rq_timeout", "rq_per_try_timeout"),
    "connect": ("cx_connect_fail",),
    "reset": (CLOSED, "rq_rx_reset"),
    "overflow": ("rq_pending_overflow", "rq_active_overflow"),
    "gave-up": ("rq_retry_limit_exceeded",),
}
"""Envoy's counters of attempts that failed, by what Bleen calls them."""
EVENTS = (PARSE, *sorted({name for names in REASONS.values() for name in names}))
COUNTERS = (*(f"rq_{each}" for each in CLASSES), *EVENTS)
GAUGES = ("cx_active", "rq_pending_active")
LATENCY = "rq_time"


class ClusterSeen(msgspec.Struct, frozen=True):
    """What one gateway has counted of one cluster. What it has never counted is missing."""

    values: Mapping[str, float] = {}
    """Counters and gauges by their names without ``upstream_``; the classes are ``rq_2xx`` and so on."""
    latency: Mapping[float, float] = {}
    """How many latencies are in each bucket, by its upper bound in ms, and beyond all under infinity."""


def clusters(environment: str, service: str, releases: Sequence[int]) -> Sequence[str]:
    """Return the names of the clusters that ``releases`` may have: either colour."""
    return [backend_name(environment, service, colour, release) for colour in Colour for release in releases]


def upper_bound(value: float) -> float:
    """Return what a latency is at most, in ms, that is in the bucket of two significant digits which ``value`` begins.

    Envoy rounds down to whole ms before: what is below 1 ms counts as 0. The same bound tells what a bucket of Prometheus
    holds: ``le`` includes all of the bucket that begins there.
    """
    unit = 10.0 ** max(0, int(log10(value)) - 1) if value >= 1 else 1.0
    return round((value // unit + 1) * unit, 6)


class Meter:
    """The sums of one service's releases, over all gateways and both colours."""

    def __init__(self, odometer: Odometer) -> None:
        self._odometer = odometer
        self._known: set[tuple[str, str]] = set()

    def count(self, release: int, names: Sequence[str], seen: Mapping[tuple[str, str], ClusterSeen]) -> Counters:
        """Return the counters of ``release``, whose clusters are ``names``. ``seen`` is by gateway and cluster."""
        sums: dict[str, float] = dict.fromkeys((*COUNTERS, *GAUGES), 0)
        buckets: dict[float, float] = {}
        self._known |= seen.keys()
        for where in sorted(self._known):
            if where[1] in names:
                self._add(where, seen.get(where, ClusterSeen()), sums, buckets)
        return _counters(release, sums, buckets)

    def _add(self, where: tuple[str, str], seen: ClusterSeen, sums: dict[str, float], buckets: dict[float, float]) -> None:
        for name in COUNTERS:
            sums[name] += self._odometer.read((*where, name), {"": seen.values.get(name, 0)})[""]
        for name in GAUGES:
            sums[name] += seen.values.get(name, 0)
        for edge, count in self._odometer.read((*where, LATENCY), seen.latency).items():
            buckets[edge] = buckets.get(edge, 0) + count


def _counters(release: int, sums: Mapping[str, float], buckets: Mapping[float, float]) -> Counters:
    classes = {each: int(sums[f"rq_{each}"]) for each in CLASSES if sums[f"rq_{each}"]}
    broken = int(min(sums[PARSE], sums[CLOSED]))
    reasons = {reason: int(sum(sums[name] for name in names)) for reason, names in REASONS.items()} | {"broken": broken}
    edges = sorted(edge for edge, count in buckets.items() if count and edge != inf)
    return Counters(
        release=release,
        requests=sum(classes.values()),
        failed=classes.get("5xx", 0) + broken,
        classes=classes,
        reasons={reason: count for reason, count in reasons.items() if count},
        latency=Histogram(tuple(edges), tuple(int(buckets[edge]) for edge in edges), int(buckets.get(inf, 0))),
        connections=int(sums["cx_active"]),
        pending=int(sums["rq_pending_active"]),
    )
