"""A host agent in a process of its own, to be killed: ``python -m tests.providers.local.agent_process HOME SOCKET``.

With $DIE_BEFORE_RECORD it is killed when the first process of an instance has started and is about to be recorded.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from bleen.providers.local.agent import Agent
from bleen.providers.local.api import serve
from bleen.providers.local.images import LocalImages
from bleen.providers.local.machine import Machine
from bleen.providers.local.parts import PartRunner
from bleen.providers.local.records import InstanceRecord
from bleen.providers.local.sandbox import probe_isolation
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.local.store import Shelf
from bleen.providers.local.watchdog import lock_home
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateways
from tests.providers.local.world import BACKOFF


class DyingShelf(Shelf):
    """Kills its process where the order of things matters most."""

    async def keep(self, path: Path, value: object) -> None:
        if isinstance(value, InstanceRecord) and value.process is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        await super().keep(path, value)


async def main(home: Path, path: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    shelf = DyingShelf() if os.environ.get("DIE_BEFORE_RECORD") else Shelf()
    machine = Machine(
        home=home,
        images=LocalImages(home),
        secrets=FolderSecrets(home),
        level=probe_isolation(),
        shelf=shelf,
        backoff=BACKOFF,
    )
    agent = Agent(machine, {"local": MemoryBackends(MemoryGateways())}, PartRunner((), home, shelf))
    await serve(agent, path, lock_home(home))


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
