"""The port `Metrics` over a tier of Envoys: what each has counted, as its agent reports it. A report is some seconds old."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bleen.domain.canary import Metric
from bleen.domain.comparison import Comparison
from bleen.domain.errors import Unreachable
from bleen.domain.signals import Sample
from bleen.providers.azure.gateway import Tier
from bleen.providers.envoy.meter import Meter, clusters
from bleen.providers.envoy.stats import cluster_seen
from bleen.providers.odometer import Meters


class AzureMetrics:
    """Golden signals only: a custom metric is a failure here."""

    def __init__(self, tier: Tier, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tier = tier
        self._clock = clock
        self._meters = Meters(Meter)

    async def read(self, comparison: Comparison, custom: Sequence[Metric] = ()) -> Sample:
        """Return the counters of both releases, summed over all Envoys; Unreachable where one is silent."""
        reports = await self._tier.heard()
        silent = sorted(name for name, each in reports.items() if not each.answered)
        if silent or not reports:
            why = f"silent: {', '.join(silent)}" if silent else "no gateway has ever reported"
            raise Unreachable("the gateways do not tell what they count", why=why, next="bleen status")
        releases = (comparison.baseline, comparison.canary)
        epoch = "+".join(f"{name}:{reports[name].started}" for name in sorted(reports))
        meter, epoch = self._meters.of(comparison, epoch)
        wanted = clusters(comparison, releases)
        seen = {(name, each): cluster_seen(report.stats, each) for name, report in reports.items() for each in wanted}
        return Sample(
            at=self._clock(),
            releases=tuple(meter.count(each, clusters(comparison, [each]), seen) for each in releases),
            epoch=epoch,
            failures={metric.name: "the gateways do not count it" for metric in custom},
        )
