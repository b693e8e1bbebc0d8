"""The agent beside one Envoy in Azure: ``python -m bleen.app gateway_agent``.

It writes what Envoy starts from, where that is not there yet, and prints how to start it; a service of the machine's own does
that, so that neither ends with the other.
"""

import asyncio
import logging
import shlex
import socket
import sys
from pathlib import Path

from bleen.app.azure import read_site
from bleen.domain.errors import BleenError, InvalidInput
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


async def _run(settings: Settings) -> None:
    if not settings.azure_site:
        raise InvalidInput("which site?", next="set BLEEN_AZURE_SITE to the file that describes it")
    site = read_site(Path(settings.azure_site))
    from bleen.providers.azure.connection import connected
    from bleen.providers.azure.gateway_agent import GatewayAgent

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
