"""Where one Envoy lives: its region, its folder of files, its addresses."""

from collections.abc import Sequence
from pathlib import Path

from bleen.domain.codec import Value
from bleen.settings import Settings

PROBE_PATH = "/healthz"
"""What load balancers ask of an Envoy. A service's own path of that name is its own."""


class Probes(Value, frozen=True):
    """Who asks for `PROBE_PATH`: an Envoy that has its routes answers 200."""

    name: str
    """By this host name, which no service has."""
    source: str
    """From this address, by any name that no service has."""


class Place(Value, frozen=True):
    """One Envoy of one platform. Everything about it follows from these six."""

    region: str
    folder: Path
    """Its configuration files; Envoy comes back from them with nobody's help."""
    admin: Path
    """Its administration socket, in the runtime folder."""
    port: int
    """Of the listener that all services share."""
    address: str = "127.0.0.1"
    probes: Probes | None = None
    """Who asks whether it is well; nobody where it has its machine not to itself."""

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"gateway {self.region}"

    @property
    def bootstrap(self) -> Path:
        return self.folder / "bootstrap.json"

    @property
    def listeners(self) -> Path:
        return self.folder / "listeners.json"

    @property
    def clusters(self) -> Path:
        return self.folder / "clusters.json"

    @property
    def routes(self) -> Path:
        return self.folder / "routes.json"


def gateway_folder(settings: Settings) -> Path:
    """Return the folder of everything about gateways."""
    return settings.path / "gateway"


def places(settings: Settings, port: int) -> Sequence[Place]:
    """Return one place per region: the first on 127.0.0.1, the next on 127.0.0.2, so that all can share ``port``."""
    return tuple(
        Place(
            region=region,
            folder=gateway_folder(settings) / region,
            admin=Path(settings.runtime) / f"gateway-{region}.sock",
            port=port,
            address=f"127.0.0.{index}",
        )
        for index, region in enumerate(settings.regions, start=1)
    )
