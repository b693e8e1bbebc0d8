"""How build tools are run: in which environment, and for how long."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from bleen.providers.local.images.environment import base_python, python_runtime
from bleen.providers.local.images.process import Shell, Target
from bleen.providers.local.images.store import Workspace

EPOCH = "1577836800"
"""The date of everything that is built: one that zip can hold."""
_FIXED = {
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": EPOCH,
    "UV_NO_PROGRESS": "1",
}
"""What would else find its way into the bytes, or the words, of a build."""


MACHINE = Target(python_runtime(), (str(base_python()), "-S", "-s"))


@dataclass(frozen=True)
class Tools:
    """``environ`` is that of the build tools (proxies, indexes, credentials); one tool may run for ``timeout`` seconds."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    timeout: float = 600.0

    def shell(self, work: Workspace, target: Target | None = None) -> Shell:
        """Return how tools are run for the build in ``work``, for this machine's Python unless ``target`` is another."""
        kept = {key: value for key, value in self.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environ = {**kept, **_FIXED, "TMPDIR": work.folder}
        return Shell(folder=work.folder, environ=environ, timeout=self.timeout, lock=work.lock, target=target or MACHINE)
