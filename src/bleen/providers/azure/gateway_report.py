"""What an Envoy of the tier *has*, as the agent beside it reports: one blob for each."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from bleen.domain.codec import Value, decode, encode
from bleen.domain.listing import Listing, named
from bleen.domain.traffic import Backend, EndpointSeen
from bleen.providers.azure.errors import speaking
from bleen.providers.envoy.admin import StatsSeen


class EnvoyReport(Value, frozen=True):
    """Read from Envoy's administration interface, never from what was written for it."""

    gateway: str
    region: str
    answered: bool
    """Whether Envoy answered its agent."""
    version: int = 0
    """Of the last table that its agent read, and tried to apply before it looked at what Envoy has."""
    listings: tuple[Listing, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoints: Mapping[str, tuple[EndpointSeen, ...]] = {}
    """By the name of the backend."""
    leaving: Mapping[str, Mapping[str, int]] = {}
    """Requests under way to endpoints that left a backend lately, by backend and address."""
    stats: StatsSeen = StatsSeen({}, {})
    """What it has counted of all its backends."""
    started: str = ""
    """Which process of Envoy has counted it."""
    trouble: str = ""

    def listing(self, key: str) -> Listing | None:
        """Return what it has of a service."""
        return next((each for each in self.listings if each.key == key), None)

    def backend(self, name: str) -> Backend | None:
        """Return the backend of that name as it has it."""
        return next((each for each in self.backends if each.name == name), None)

    def routes_to(self, name: str) -> bool:
        """Return whether some route of it names the backend."""
        return any(name in named(each.route) for each in self.listings if each.route)

    def active(self, name: str, address: str) -> int:
        """Return the requests under way to one endpoint."""
        listed = [each.active for each in self.endpoints.get(name, ()) if each.endpoint.address == address]
        return sum(listed) if listed else self.leaving.get(name, {}).get(address, 0)


class Heard(Value, frozen=True):
    """A report, and how old it is."""

    report: EnvoyReport
    age: float
    """Seconds, by storage's clock and this machine's."""


class GatewayReports:
    """Reads and writes them in one container. What has not changed is not read again."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container
        self._known: dict[str, tuple[str, EnvoyReport]] = {}

    async def write(self, report: EnvoyReport) -> None:
        """Replace the report of an Envoy."""
        with speaking("write what a gateway has"):
            await self._container.upload_blob(report.gateway, encode(report), overwrite=True)

    async def read(self) -> Mapping[str, Heard]:
        """Return the report of each Envoy, by name."""
        heard: dict[str, Heard] = {}
        with speaking("read what the gateways have"):
            async for blob in self._container.list_blobs():
                report = await self._report(blob.name, blob.etag)
                if report is not None:
                    heard[report.gateway] = Heard(report, (datetime.now(UTC) - blob.last_modified).total_seconds())
        return heard

    async def remove(self, gateway: str) -> None:
        """Forget an Envoy whose machine is gone."""
        with speaking("forget a gateway"):
            try:
                await self._container.delete_blob(gateway)
            except ResourceNotFoundError:
                return

    async def _report(self, name: str, etag: str) -> EnvoyReport | None:
        known = self._known.get(name)
        if known is not None and known[0] == etag:
            return known[1]
        try:
            report: EnvoyReport = decode(await (await self._container.download_blob(name)).readall(), EnvoyReport)
        except (ResourceNotFoundError, msgspec.MsgspecError):
            return None
        self._known[name] = (etag, report)
        return report
