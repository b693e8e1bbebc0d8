"""The host agent, composed: ``python -m bleen.app agent``."""

import asyncio
import logging
import sys

from bleen.app.home import make_home
from bleen.app.parts import parts_of, places_of
from bleen.domain.errors import BleenError, Conflict, Permanent
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.local.agent import Agent
from bleen.providers.local.api import serve
from bleen.providers.local.images.provider import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.parts import PartRunner
from bleen.providers.local.sandbox import probe_isolation
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.local.watchdog import REFUSED
from bleen.settings import Settings, read_settings


def make_agent(settings: Settings) -> Agent:
    """Return the agent of the platform of ``settings``, on this machine."""
    home = settings.path
    machine = Machine(
        home=home,
        images=LocalImages(home),
        secrets=FolderSecrets(home),
        level=probe_isolation(),
        several_regions=len(settings.regions) > 1,
    )
    backends = {place.region: EnvoyBackends([place]) for place in places_of(settings)}
    return Agent(machine, backends, PartRunner(parts_of(settings), home, machine.shelf))


def main() -> int:
    """Run until told to stop; return the exit code that the watchdog reads."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = make_home(read_settings())
        asyncio.run(_run(settings))
    except (Permanent, Conflict) as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except BleenError as error:  # a full disk, say: the watchdog tries again
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(settings: Settings) -> None:
    await serve(make_agent(settings), settings.runtime_path / "agent.sock")
