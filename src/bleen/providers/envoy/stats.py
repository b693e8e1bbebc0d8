"""What requests meet, read from the counters of the Envoys themselves.

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
  gone; the rest goes on. An `Odometer` adds them up.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.signals import Counters, Histogram, Sample
from bleen.domain.traffic import Colour, backend_name
from bleen.providers.envoy.admin import Admin, Bucket, StatsSeen
from bleen.providers.envoy.place import Place
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
_COUNTERS = (*(f"rq_{c}" for c in CLASSES), PARSE, *sorted({name for names in REASONS.values() for name in names}))
_GAUGES = ("cx_active", "rq_pending_active")
_LATENCY = "rq_time"


class EnvoyMetrics:
    """Port `Metrics` over the Envoys of ``places``: golden signals only, a custom metric is a failure here."""

    def __init__(self, places: Sequence[Place], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._admins = [Admin(place) for place in places]
        self._clock = clock
        self._meters: dict[tuple[str, str], Meter] = {}

    async def close(self) -> None:
        """Give back its sockets."""
        for admin in self._admins:
            await admin.close()

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases, summed over all Envoys; Unreachable where one is silent."""
        releases = (comparison.baseline, comparison.canary)
        pattern = _pattern(comparison.environment, comparison.service, releases)
        asked = await asyncio.gather(*(_ask(admin, pattern) for admin in self._admins))
        meter = self._meter(comparison, epoch="+".join(started for _, started in asked))
        seen = {admin.place.region: stats for admin, (stats, _) in zip(self._admins, asked, strict=True)}
        return Sample(
            at=self._clock(),
            releases=tuple(meter.count(release, seen) for release in releases),
            epoch=meter.epoch,
            failures={metric.name: "the gateways do not count it" for metric in custom},
        )

    def _meter(self, comparison: Comparison, epoch: str) -> "Meter":
        """Return the meter of the service: a new one where other releases are asked for, or an Envoy is a new one."""
        fresh = Meter(comparison, epoch)
        held = self._meters.get((comparison.environment, comparison.service))
        if held is None or held.subject != fresh.subject:
            held = self._meters[comparison.environment, comparison.service] = fresh
        return held


async def _ask(admin: Admin, pattern: str) -> tuple[StatsSeen, str]:
    stats, started = await asyncio.gather(admin.stats(pattern), admin.started())
    return stats, started


def _pattern(environment: str, service: str, releases: Sequence[int]) -> str:
    names = "|".join(sorted((*_COUNTERS, *_GAUGES, _LATENCY)))
    clusters = "|".join(re.escape(name) for name in _clusters(environment, service, releases))
    return f"cluster[.]({clusters})[.]upstream_({names})"


def _clusters(environment: str, service: str, releases: Sequence[int]) -> Sequence[str]:
    return [backend_name(environment, service, colour, release) for colour in Colour for release in releases]


class Meter:
    """The sums of one service's two releases while they are compared."""

    def __init__(self, comparison: Comparison, epoch: str) -> None:
        self.subject = (comparison.environment, comparison.service, comparison.baseline, comparison.canary, epoch)
        self._odometer = Odometer()

    @property
    def epoch(self) -> str:
        return f"{self.subject[-1]}/{self._odometer.name}"

    def count(self, release: int, seen: Mapping[str, StatsSeen]) -> Counters:
        """Return the counters of ``release``, in either colour, over all gateways. ``seen`` is by gateway."""
        sums: dict[str, float] = dict.fromkeys((*_COUNTERS, *_GAUGES), 0)
        buckets: dict[float, float] = {}
        for region, stats in seen.items():
            for cluster in _clusters(*self.subject[:2], [release]):
                self._add(region, f"cluster.{cluster}.upstream_", stats, sums, buckets)
        return counters(release, sums, buckets)

    def _add(self, region: str, prefix: str, stats: StatsSeen, sums: dict[str, float], buckets: dict[float, float]) -> None:
        for name in _COUNTERS:
            sums[name] += self._odometer.read((region, prefix, name), {"": stats.values.get(prefix + name, 0)})[""]
        for name in _GAUGES:
            sums[name] += stats.values.get(prefix + name, 0)
        counted = {upper_bound(b): b.count for b in stats.histograms.get(prefix + _LATENCY, ())}
        for edge, count in self._odometer.read((region, prefix, _LATENCY), counted).items():
            buckets[edge] = buckets.get(edge, 0) + count


def upper_bound(bucket: Bucket) -> float:
    """Return what a latency of ``bucket`` is at most, in ms: Envoy rounded it down to a whole one before."""
    return round(bucket.lower_bound + max(bucket.width, 1.0), 6)


def counters(release: int, sums: Mapping[str, float], buckets: Mapping[float, float]) -> Counters:
    """Return Envoy's counters of one release, by their names without ``upstream_``, as Bleen's."""
    classes = {each: int(sums[f"rq_{each}"]) for each in CLASSES if sums[f"rq_{each}"]}
    broken = int(min(sums[PARSE], sums[CLOSED]))
    reasons = {reason: int(sum(sums[name] for name in names)) for reason, names in REASONS.items()} | {"broken": broken}
    edges = sorted(edge for edge, count in buckets.items() if count)
    return Counters(
        release=release,
        requests=sum(classes.values()),
        failed=classes.get("5xx", 0) + broken,
        classes=classes,
        reasons={reason: count for reason, count in reasons.items() if count},
        latency=Histogram(edges=tuple(edges), counts=tuple(int(buckets[edge]) for edge in edges)),
        connections=int(sums["cx_active"]),
        pending=int(sums["rq_pending_active"]),
    )
