"""How a program finds its interpreter and its packages in a tree: by convention, so that nothing in an image names a machine.

A tree holds the application at its root, and what Bleen adds in ``.runtime/``:

- ``.runtime/bin``: the console scripts of Python packages, and `python`, `python3`, `python3.N`, which start the machine's
  interpreter without the machine's own packages (``-S -s``): an image that needs one of those must fail here, not elsewhere.
- ``.runtime/lib``: the Python packages. Their ``.pth`` files are not read.
- ``node_modules``: the packages of npm, as npm lays them out.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bleen.domain.base import HOST
from bleen.domain.errors import NotFound, StartFailed
from bleen.domain.image import Image

RUNTIME = ".runtime"
LIBRARY = f"{RUNTIME}/lib"
SCRIPTS = f"{RUNTIME}/bin"
INTERPRETER = "BLEEN_PYTHON"
"""The variable in which console scripts find the interpreter."""
_SEARCHED = (SCRIPTS, "bin", "node_modules/.bin")
_SYSTEM = ("/usr/local/bin", "/usr/bin", "/bin")


def base_python() -> Path:
    """Return the machine's own interpreter, never that of a virtual environment."""
    return Path(str(getattr(sys, "_base_executable", "") or sys.executable))


def python_runtime() -> str:
    """Return the runtime of Python images built here: ``cpython-3.11``."""
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"


def process_environment(image: Image, tree: str) -> dict[str, str]:
    """Return the environment in which the commands of ``image`` are found below ``tree``, as they see it, and run.

    Complete but for HOME, TMPDIR and what the release adds. StartFailed where this machine lacks the image's runtime.
    """
    machine = tuple(str(folder) for folder in machine_folders(image) if folder.name == "bin")
    folders = (*(f"{tree}/{name}" for name in _SEARCHED), *_SYSTEM, *machine)
    environment = {"PATH": ":".join(dict.fromkeys(folders)), "LANG": "C.UTF-8"}
    if image.runtime.startswith("node-"):
        return environment | {"NODE_PATH": f"{tree}/node_modules", "NODE_ENV": "production"}
    if image.runtime:
        return environment | {
            "PYTHONPATH": f"{tree}:{tree}/{LIBRARY}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
            INTERPRETER: str(base_python())
            if image.base == HOST
            else f"/usr/bin/{image.runtime.replace('cpython-', 'python')}",
        }
    return environment


def machine_folders(image: Image) -> tuple[Path, ...]:
    """Return what of the machine, besides its system folders, the runtime of ``image`` needs: a sandbox must show it.
    What stands on a base has its runtime there.

    StartFailed where this machine has another runtime.
    """
    if not image.runtime or image.base != HOST:
        return ()
    if image.runtime.startswith("node-"):
        node = shutil.which("node")
        if node is None:
            raise StartFailed(f"{image.name} {image.version} needs node", why="there is none on PATH", next="install nodejs")
        return (Path(node).resolve().parent,)
    if image.runtime != python_runtime():
        raise StartFailed(
            f"{image.name} {image.version} was built for {image.runtime}",
            why=f"this machine runs {python_runtime()}",
            next="deploy it again, which builds it for this machine",
        )
    return (Path(sys.base_prefix), base_python().parent)


def find_command(name: str, environment: Mapping[str, str], folder: Path) -> Path:
    """Return the program that ``name`` starts with ``folder`` as working folder; NotFound says where it was sought."""
    if "/" in name:
        path = folder / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
        raise NotFound(f"{name} is no program of the image", why="it is not there, or is not executable")
    found = shutil.which(name, path=environment["PATH"])
    if found is None:
        raise NotFound(f"there is no program {name}", why=f"sought in {environment['PATH'].replace(':', ', ')}")
    return Path(found)
