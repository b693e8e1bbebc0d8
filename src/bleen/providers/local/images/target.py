"""The Python of a base, started from outside of it: no sandbox is needed, and the machine's own Python may be another one."""

import os
from pathlib import Path

from bleen.domain.errors import BuildFailed
from bleen.providers.local.images.process import Target

_LOADERS = {"amd64": "lib64/ld-linux-x86-64.so.2", "arm64": "lib/ld-linux-aarch64.so.1"}


def target_of(tree: Path, runtime: str, architecture: str) -> Target:
    """Return the Python of the base in ``tree``; BuildFailed where it cannot be started here.

    The machine's own one would compile to other bytes: what is built must depend on the lock alone.
    """
    loader = _LOADERS.get(architecture)
    if loader is None or not (tree / loader).exists():
        raise BuildFailed(f"no program of {architecture} can be started here", why="the base has no loader that is known")
    libraries = sorted({str(path.parent) for path in (tree / "usr/lib").glob("*/libc.so.6")})
    python = tree / "usr/bin" / runtime.replace("cpython-", "python")
    command = (str(tree / loader), "--library-path", os.pathsep.join(libraries), str(python), "-S", "-s")
    return Target(runtime, command, {"PYTHONHOME": str(tree / "usr")})
