"""The agent beside one Envoy in Azure: ``python -m bleen.app gateway_agent``.

On a machine of the scale set the user data tell it where routes are and how Envoy listens; `gateway_envoy` is Envoy there.
Elsewhere ``BLEEN_AZURE_SITE`` tells it: then it writes what Envoy starts from, where that is not there yet, and prints how to
start it. Neither ends with the other.
"""

import asyncio
import logging
import shlex
import socket
import sys
from pathlib import Path
from types import ModuleType

from bleen.app.loading import loading
from bleen.domain.errors import BleenError, NotFound
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.process import envoy_argv, write_bootstrap
from bleen.settings import Settings, read_settings


def place_of(settings: Settings, region: str) -> Place:
    """Return where the Envoy of this machine lives."""
    folder = settings.path / "gateway" / region
    admin = settings.runtime_path / f"gateway-{region}.sock"
    return Place(region, folder, admin, settings.ports.gateway, settings.gateway_address)


def main() -> int:
    """Run until stopped by a signal; return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_run(read_settings()))
    except BleenError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except KeyboardInterrupt:
        return 0
    return 0


def load_machine() -> ModuleType:
    """Return `bleen.app.gateway_machine`; NotFound where what it needs is not installed."""
    try:
        with loading():
            from bleen.app import gateway_machine
    except ImportError as error:
        raise NotFound("what a gateway needs is not installed", why=str(error), next="pip install 'bleen[gateway]'") from error
    return gateway_machine


async def _run(settings: Settings) -> None:
    if not settings.azure_site:
        await load_machine().attend(settings)
        return
    from bleen.app.azure import read_site
    from bleen.providers.azure.connection import connected
    from bleen.providers.azure.gateway_agent import GatewayAgent

    site = read_site(Path(settings.azure_site))
    place = place_of(settings, site.region)
    write_bootstrap(place)
    sys.stdout.write(f"{shlex.join(envoy_argv(place))}\n")
    sys.stdout.flush()
    async with connected(site) as azure:
        agent = GatewayAgent(place, settings.gateway_name or socket.gethostname(), azure.blobs)
        try:
            await agent.run()
        finally:
            await agent.close()
