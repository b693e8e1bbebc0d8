"""What requests meet, read from the administration interfaces of the Envoys themselves."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.signals import Sample
from bleen.providers.envoy.admin import Admin, Bucket, StatsSeen
from bleen.providers.envoy.endings import latency_name, pattern, request_name
from bleen.providers.envoy.meter import COPIED_LATENCY, COUNTERS, GAUGES, ClusterSeen, Meter, clusters, upper_bound
from bleen.providers.envoy.place import Place
from bleen.providers.odometer import Meters


class EnvoyMetrics:
    """Port `Metrics` over the Envoys of ``places``: golden signals only, a custom metric is a failure here.

    What is counted, and how late, is told in `bleen.providers.envoy.meter`.
    """

    def __init__(self, places: Sequence[Place], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._admins = [Admin(place) for place in places]
        self._clock = clock
        self._meters = Meters(Meter)

    async def close(self) -> None:
        """Give back its sockets."""
        for admin in self._admins:
            await admin.close()

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases, summed over all Envoys; Unreachable where one is silent."""
        releases = (comparison.baseline, comparison.canary)
        wanted = clusters(comparison, releases)
        asked = await asyncio.gather(*(read_stats(admin, wanted) for admin in self._admins))
        meter, epoch = self._meters.of(comparison, "+".join(started for _, started in asked))
        regions = [admin.place.region for admin in self._admins]
        seen = {
            (region, cluster): cluster_seen(stats, cluster)
            for region, (stats, _) in zip(regions, asked, strict=True)
            for cluster in wanted
        }
        return Sample(
            at=self._clock(),
            releases=tuple(meter.count(each, clusters(comparison, [each]), seen) for each in releases),
            epoch=epoch,
            failures={metric.name: "the gateways do not count it" for metric in custom},
        )


async def read_stats(admin: Admin, wanted: Sequence[str]) -> tuple[StatsSeen, str]:
    """Return all that one Envoy has counted of the clusters ``wanted``, and which process of it has."""
    names = "|".join(map(re.escape, (*map(_spelled, (*COUNTERS, *GAUGES)), _spelled(COPIED_LATENCY))))
    clusters_of = f"cluster[.]({'|'.join(map(re.escape, wanted))})[.]({names})"
    stats, started = await asyncio.gather(admin.stats(f"{clusters_of}|{pattern(wanted)}"), admin.started())
    return stats, started


def _spelled(name: str) -> str:
    """Return how Envoy spells the name that a cluster's counter has here."""
    copies, _, last = name.rpartition(".")
    return f"{copies}.upstream_{last}" if copies else f"upstream_{last}"


def cluster_seen(stats: StatsSeen, cluster: str) -> ClusterSeen:
    """Return what is counted of one cluster."""
    ended = {name: count for full, count in stats.values.items() if (name := request_name(full)) and name[0] == cluster}
    prefix = f"cluster.{cluster}."
    return ClusterSeen(
        ended={(code, flags): count for (_, code, flags), count in ended.items()},
        latency=_edges(stats.histograms.get(latency_name(cluster), ())),
        values={name: stats.values.get(prefix + _spelled(name), 0) for name in (*COUNTERS, *GAUGES)},
        copied_latency=_edges(stats.histograms.get(prefix + _spelled(COPIED_LATENCY), ())),
    )


def _edges(buckets: Sequence[Bucket]) -> Mapping[float, float]:
    """Return how many are in each bucket, by its upper bound."""
    found: dict[float, float] = {}
    for bucket in buckets:
        edge = upper_bound(bucket.lower_bound)
        found[edge] = found.get(edge, 0) + bucket.count
    return found
