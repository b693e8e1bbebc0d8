"""What the instances of a site use, as the guests of their machines measure it: in the reports that fleets listen to anyway."""

import time
from collections.abc import Callable

from bleen.domain.comparison import Comparison
from bleen.domain.signals import Load
from bleen.providers.azure.fleets import AzureFleets
from bleen.providers.usage import Totals

SPREAD_SECONDS = 20.0
"""Over which processor time is told that came with a report. Longer than the time between two reports: else the rate of a few
seconds would be nothing before one arrives, and that of a quarter of a minute after it."""


class AzureLoads:
    """Memory is as old as the last report: 15 s at most, and what it takes to listen. Processor time is a mean, and lags as
    long again: what is told as used now was used 15 to 35 s ago.
    """

    def __init__(self, fleets: AzureFleets, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleets = fleets
        self._totals = Totals(SPREAD_SECONDS, clock)

    async def read(self, comparison: Comparison) -> tuple[Load, ...]:
        """Return the load of each release of which a machine has said of late what it uses; Unreachable where fleets cannot be
        seen. Azure is asked for nothing besides what `AzureFleets.observe` asks for.
        """
        return self._totals.loads(comparison, await self._fleets.usage(comparison.service))
