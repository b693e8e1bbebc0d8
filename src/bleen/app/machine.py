"""What the host agent keeps beside the parts of the platform: the fleets of this machine."""

from bleen.app.parts import places_of
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.local.agent import Agent
from bleen.providers.local.api import serve
from bleen.providers.local.images.provider import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.parts import PartRunner
from bleen.providers.local.sandbox import probe_isolation
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.local.store import Shelf
from bleen.settings import Settings


async def keep(settings: Settings, parts: PartRunner, shelf: Shelf, lock: int) -> None:
    """Keep the fleets and ``parts`` of the home, whose ``lock`` this process has, until told to stop."""
    home = settings.path
    machine = Machine(
        home=home,
        images=LocalImages(home),
        secrets=FolderSecrets(home),
        level=probe_isolation(),
        shelf=shelf,
        several_regions=len(settings.regions) > 1,
    )
    backends = {place.region: EnvoyBackends([place]) for place in places_of(settings)}
    try:
        await serve(Agent(machine, backends, parts), settings.runtime_path / "agent.sock", lock)
    finally:
        for each in backends.values():
            await each.close()
