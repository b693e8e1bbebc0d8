"""What a provider gives to a controller: the ports that differ between one machine and a cloud."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bleen.domain.fidelity import GatewayMode
from bleen.ports import Builder, Fleets, Gateway, Images, Metrics
from bleen.providers.custom import Loads
from bleen.providers.local.images import LocalBases, LocalBuilder, LocalImages
from bleen.providers.prober import DoorOf
from bleen.settings import Settings


@dataclass(frozen=True)
class Provided:
    """The ports of one provider, and what a view must know of it."""

    fleets: Fleets
    gateway: Gateway
    images: Images
    builder: Builder
    golden: Metrics
    """For verdicts."""
    signals: Metrics
    """For people who look: what they see takes nothing from what a verdict counts."""
    door_of: DoorOf
    own_port: Callable[[str, str], int | None]
    """The port of its own that a service of an environment has, if it has one."""
    gateway_port: int
    gateway_mode: GatewayMode = GatewayMode.ENVOY
    """What its gateways are, and so what they can do."""
    loads: Loads | None = None
    """What instances use; None where nobody says."""


class OwnImages:
    """The images of this machine, where they are built and looked into, whoever runs them."""

    def __init__(self, settings: Settings) -> None:
        self.images = LocalImages(settings.path)
        self.bases = LocalBases(settings.path)
        self.builder = LocalBuilder(self.images, self.bases)


@asynccontextmanager
async def provided(settings: Settings, own: OwnImages) -> AsyncIterator[Provided]:
    """Yield the ports of the provider that ``settings`` name; ``own`` are the images of this machine.

    The SDK of a cloud is imported here and only where it is used: a controller of one machine has no memory to give away.
    """
    if settings.provider == "azure":
        from bleen.app.azure import provided_by_azure

        async with provided_by_azure(settings, own) as found:
            yield found
    else:
        from bleen.app.local import provided_by_machine

        yield provided_by_machine(settings, own)
