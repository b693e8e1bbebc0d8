"""What requests meet, read from the administration interfaces of the Envoys themselves."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.signals import Sample
from bleen.providers.envoy.admin import Admin, StatsSeen
from bleen.providers.envoy.meter import COUNTERS, GAUGES, LATENCY, ClusterSeen, Meter, clusters, upper_bound
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
        environment, service = comparison.environment, comparison.service
        releases = (comparison.baseline, comparison.canary)
        wanted = clusters(environment, service, releases)
        asked = await asyncio.gather(*(_ask(admin, wanted) for admin in self._admins))
        meter, epoch = self._meters.of(comparison, "+".join(started for _, started in asked))
        regions = [admin.place.region for admin in self._admins]
        seen = {
            (region, cluster): _cluster_seen(stats, cluster)
            for region, (stats, _) in zip(regions, asked, strict=True)
            for cluster in wanted
        }
        return Sample(
            at=self._clock(),
            releases=tuple(meter.count(each, clusters(environment, service, [each]), seen) for each in releases),
            epoch=epoch,
            failures={metric.name: "the gateways do not count it" for metric in custom},
        )


async def _ask(admin: Admin, wanted: Sequence[str]) -> tuple[StatsSeen, str]:
    names = "|".join((*COUNTERS, *GAUGES, LATENCY))
    pattern = f"cluster[.]({'|'.join(map(re.escape, wanted))})[.]upstream_({names})"
    stats, started = await asyncio.gather(admin.stats(pattern), admin.started())
    return stats, started


def _cluster_seen(stats: StatsSeen, cluster: str) -> ClusterSeen:
    prefix = f"cluster.{cluster}.upstream_"
    latency: dict[float, float] = {}
    for bucket in stats.histograms.get(prefix + LATENCY, ()):
        edge = upper_bound(bucket.lower_bound)
        latency[edge] = latency.get(edge, 0) + bucket.count
    return ClusterSeen({name: stats.values.get(prefix + name, 0) for name in (*COUNTERS, *GAUGES)}, latency)
