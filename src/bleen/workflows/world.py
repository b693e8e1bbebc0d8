"""The world as activities reach it: the ports, a clock, and how it is observed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from bleen.domain.errors import Unreachable
from bleen.domain.fleet import Fleet
from bleen.domain.rollout import Observation
from bleen.domain.traffic import GatewaySeen
from bleen.ports import Bases, Builder, Fleets, Gateway, Images, Ledger, Metrics, Notices, Prober, Scanner
from bleen.workflows.freezing import Freezes

PATIENCE = 3.0
"""Seconds that one look at the hosts or the gateways may take; who is slower has not answered."""


def utc_now() -> datetime:
    """Return the time by the machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class World:
    """Every port that a rollout needs."""

    images: Images
    bases: Bases
    fleets: Fleets
    gateway: Gateway
    ledger: Ledger
    prober: Prober
    metrics: Metrics
    notices: Notices
    scanner: Scanner
    builder: Builder
    regions: tuple[str, ...]
    clock: Callable[[], datetime] = utc_now

    @cached_property
    def freezes(self) -> Freezes:
        """When each environment takes rollouts."""
        return Freezes(self.ledger, self.clock)

    async def observe(self, environment: str, service: str) -> Observation:
        """Return what is seen now; who does not answer is reported as silent."""
        at = self.clock()
        fleets, gateways = await asyncio.gather(self._fleets(environment, service), self._gateways(environment, service))
        closed = await self.freezes.closed(environment)
        return Observation(at, tuple(fleets or ()), tuple(gateways), hosts_answered=fleets is not None, closed=closed)

    async def _fleets(self, environment: str, service: str) -> list[Fleet] | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return [f for f in await self.fleets.observe(service) if f.slot.environment == environment]
        except (Unreachable, TimeoutError):
            return None

    async def _gateways(self, environment: str, service: str) -> Sequence[GatewaySeen]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.gateway.observe(environment, service)
        except (Unreachable, TimeoutError):
            return ()
