"""What an Envoy's counters say of a release, whoever read them.

What Envoy 1.40 counts, as tests/providers/envoy/test_stats.py sees it:

- Users' requests are counted when they have ended (`bleen.providers.envoy.endings`): once each, whatever was tried in vain
  before, by the status of the answer, which is the instance's, or Envoy's own 502, 503 or 504 where retries were in vain.
  No change of a cluster or of a listener loses one. A stream of events or a websocket counts at its end, and not before.
- A request whose client left before the answer has no status, and counts nowhere; whose client left later, has not failed.
  An answer that an instance broke off counts by its status, with the flag of a protocol error, or of a connection that
  was closed or reset. A websocket that an instance closes has that flag too: most have no other end, so that it is none.
- Their histogram is of answers that instances gave to their end, websockets and streams of events left out. Histograms hold
  two significant digits, in whole ms rounded down, and are merged each second (`stats_flush_interval`): they lag behind
  the counters by a second at most.
- A counter that no request met for an hour or two is forgotten, and begins anew at zero; an `Odometer` adds them up.
- Mirrored copies are in no log. The cluster counts them as `internal.upstream_rq_<n>xx` at the release that gets them, and
  no client can pass for a copy. Those counters, and their histogram, begin anew when a cluster changes (an instance comes or
  goes): what was answered between the last reading and the change is lost, about 0.25 s of copies.
- A copy that breaks off half-way has counted as 2xx by then. It shows as a connection that the instance closed under a
  request (`upstream_cx_destroy_remote_with_active_rq`) *and* as a message that could not be parsed to its end
  (`upstream_cx_protocol_error`). Each of the two alone happens with requests that are answered 502 or 503, so
  that the smaller of both is taken, and no more than there were copies.
- Attempts that failed are told by the cluster's other counters, which go on when it changes.
"""

from collections.abc import Mapping, Sequence
from math import inf, log10
from typing import Any

import msgspec

from bleen.domain.comparison import Comparison
from bleen.domain.signals import Counters, Histogram
from bleen.domain.traffic import Colour, backend_name
from bleen.providers.odometer import Odometer

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
COPIES = tuple(f"internal.rq_{each}" for each in CLASSES)
COPIED_LATENCY = "internal.rq_time"
PARSE, CLOSED = "cx_protocol_error", "cx_destroy_remote_with_active_rq"
REASONS = {
    "timeout": ("rq_timeout", "rq_per_try_timeout"),
    "connect": ("cx_connect_fail",),
    "reset": (CLOSED, "rq_rx_reset"),
    "overflow": ("rq_pending_overflow", "rq_active_overflow"),
    "gave-up": ("rq_retry_limit_exceeded",),
}
"""Envoy's counters of attempts that failed, by what Bleen calls them."""
COUNTERS = (*COPIES, PARSE, *sorted({name for names in REASONS.values() for name in names}))
GAUGES = ("cx_active", "rq_pending_active")
BROKEN = {"UPE", "UC", "UR"}
"""Flags of an instance that broke its answer off: protocol error, connection closed, reset."""
LEFT = "DC"
"""Flag of a client that left."""


class ClusterSeen(msgspec.Struct, frozen=True):
    """What one gateway has counted of one cluster. What it has never counted is missing."""

    ended: Mapping[tuple[int, str], float] = {}
    """Users' requests by status and response flags."""
    latency: Mapping[float, float] = {}
    """How many latencies are in each bucket, by its upper bound in ms, and beyond all under infinity."""
    values: Mapping[str, float] = {}
    """The cluster's own counters and gauges by their names without ``upstream_``; copies are ``internal.rq_2xx`` and so on."""
    copied_latency: Mapping[float, float] = {}
    """As ``latency``, of copies."""


def clusters(comparison: Comparison, releases: Sequence[int]) -> Sequence[str]:
    """Return the names of the clusters that count for ``releases``: in either colour, or beside it."""
    return [
        backend_name(comparison.environment, comparison.service, colour, release, baseline=beside)
        for colour in Colour
        for release in releases
        for beside in (False, True)
        if comparison.counts(release, baseline=beside)
    ]


def upper_bound(value: float) -> float:
    """Return what a latency is at most, in ms, that is in the bucket of two significant digits which ``value`` begins.

    Envoy rounds down to whole ms before: what is below 1 ms counts as 0. The same bound tells what a bucket of Prometheus
    holds: ``le`` includes all of the bucket that begins there.
    """
    unit = 10.0 ** max(0, int(log10(value)) - 1) if value >= 1 else 1.0
    return round((value // unit + 1) * unit, 6)


class _Sums:
    """What one release met."""

    def __init__(self) -> None:
        self.ended: dict[tuple[int, str], float] = {}
        self.values: dict[str, float] = dict.fromkeys((*COUNTERS, *GAUGES), 0)
        self.buckets: dict[float, float] = {}


class Meter:
    """The sums of one service's releases, over all gateways and both colours."""

    def __init__(self, odometer: Odometer) -> None:
        self._odometer = odometer
        self._known: dict[tuple[str, str], set[tuple[int, str]]] = {}
        """By gateway and cluster: what requests have ended with. One that is missing later was forgotten."""

    def count(self, release: int, names: Sequence[str], seen: Mapping[tuple[str, str], ClusterSeen]) -> Counters:
        """Return the counters of ``release``, whose clusters are ``names``. ``seen`` is by gateway and cluster."""
        sums = _Sums()
        for where, cluster in seen.items():
            self._known.setdefault(where, set()).update(cluster.ended)
        for where in sorted(self._known):
            if where[1] in names:
                self._add(where, seen.get(where, ClusterSeen()), sums)
        return _counters(release, sums)

    def _add(self, where: tuple[str, str], seen: ClusterSeen, sums: _Sums) -> None:
        for ending in self._known[where]:
            _plus(sums.ended, ending, self._odometer.read((*where, ending), {"": seen.ended.get(ending, 0)})[""])
        for name in COUNTERS:
            _plus(sums.values, name, self._odometer.read((*where, name), {"": seen.values.get(name, 0)})[""])
        for name in GAUGES:
            _plus(sums.values, name, seen.values.get(name, 0))
        for name, buckets in (("latency", seen.latency), (COPIED_LATENCY, seen.copied_latency)):
            for edge, count in self._odometer.read((*where, name), buckets).items():
                _plus(sums.buckets, edge, count)


def _plus(sums: dict[Any, float], key: object, more: float) -> None:
    sums[key] = sums.get(key, 0) + more


def _counters(release: int, sums: _Sums) -> Counters:
    values = sums.values
    copies = {each: values[name] for each, name in zip(CLASSES, COPIES, strict=True)}
    users = {each: sum(n for (status, _), n in sums.ended.items() if each == f"{status // 100}xx") for each in CLASSES}
    classes = {each: int(users[each] + copies[each]) for each in CLASSES if users[each] + copies[each]}
    broken = sum(count for ending, count in sums.ended.items() if _is_broken(*ending))
    # Of the clusters' two counters, what is left for copies; written so that it can never go down.
    broken = int(min(broken + sum(copies.values()) - copies["5xx"], max(broken, min(values[PARSE], values[CLOSED]))))
    reasons = {reason: int(sum(values[name] for name in names)) for reason, names in REASONS.items()} | {"broken": broken}
    edges = sorted(edge for edge, count in sums.buckets.items() if count and edge != inf)
    return Counters(
        release=release,
        requests=sum(classes.values()),
        failed=classes.get("5xx", 0) + broken,
        classes=classes,
        reasons={reason: count for reason, count in reasons.items() if count},
        latency=Histogram(tuple(edges), tuple(int(sums.buckets[edge]) for edge in edges), int(sums.buckets.get(inf, 0))),
        connections=int(values["cx_active"]),
        pending=int(values["rq_pending_active"]),
    )


def _is_broken(status: int, flags: str) -> bool:
    """Return whether an instance began to answer with ``status``, and broke off under a client that was still there."""
    told = set(flags.split(","))
    return 200 <= status < 500 and bool(told & BROKEN) and LEFT not in told
