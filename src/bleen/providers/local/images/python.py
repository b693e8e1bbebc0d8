"""Python in a tree: packages, console scripts and bytecode, the same bytes wherever they are built."""

import asyncio
import base64
import csv
import hashlib
import io
import re
import shutil
import sys
from pathlib import Path

from bleen.domain.errors import BuildFailed
from bleen.providers.local.images import disk
from bleen.providers.local.images.environment import INTERPRETER, LIBRARY, SCRIPTS, base_python, python_runtime
from bleen.providers.local.images.process import Shell, Target, last_lines, run

_START = f'"${{{INTERPRETER}:?is set where Bleen starts the image}}" -S -s'
_LAUNCHER = f'#!/bin/sh\nexec {_START} "$@"\n'
# To the shell an exec, to Python a string: no step between the kernel and the interpreter, no path of the build.
_SHEBANG = f"#!/bin/sh\n'''exec' {_START} \"$0\" \"$@\"\n' '''\n".encode()
_BUILT_SHEBANG = re.compile(rb"\A(#!/bin/sh\n'''exec' [^\n]*\n' '''\n|#![^\n]*python[^\n]*\n)")
_COMPILERS = 2
_COMPILE = ("-m", "compileall", "-qq", "-f", "--invalidation-mode", "unchecked-hash")


def uv() -> str:
    """Return the path of `uv`; BuildFailed where it is not installed."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise BuildFailed("there is no uv to build Python images with", next="pip install 'bleen[local]'")
    return found


async def install_packages(stage: Path, shell: Shell, requirements: Path) -> None:
    """Install exactly what ``requirements`` lists, each package checked against its hashes there."""
    options: tuple[str, ...] = ("--require-hashes", "--no-deps", "--link-mode", "copy", "--python", str(base_python()))
    library = stage / LIBRARY
    if shell.target.runtime != python_runtime():
        # Packages can only be compiled for the Python that compiles them.
        options += ("--python-version", shell.target.version, "--only-binary", ":all:")
    ended = await run(shell, (uv(), "pip", "install", "-q", *options, "--target", str(library), "-r", str(requirements)))
    if ended.code:
        raise BuildFailed("the packages could not be installed", why=last_lines(ended.words), next=_advice(ended.words))
    await disk.in_thread(_settle, library, stage / SCRIPTS)


def _advice(words: str) -> str:
    if "Hash mismatch" in words:
        return "the index has another file than the lock: find out why, or remove the lock to have it made again"
    if "--hash" in words or "hashes" in words:
        return "make the file with: uv pip compile --generate-hashes"
    return "try again, or choose other versions"


def _settle(library: Path, scripts: Path) -> None:
    """Take out of ``library`` what is of this build and this machine alone."""
    (library / ".lock").unlink(missing_ok=True)
    scripts.parent.mkdir(parents=True, exist_ok=True)
    if (library / "bin").is_dir():
        (library / "bin").rename(scripts)
        for script in scripts.iterdir():
            data = script.read_bytes()
            script.write_bytes(_BUILT_SHEBANG.sub(lambda _: _SHEBANG, data, count=1))
    for name in ("direct_url.json", "uv_cache.json", "uv_build.json"):
        for path in library.glob(f"*.dist-info/{name}"):
            path.unlink()
    for record in library.glob("*.dist-info/RECORD"):
        _settle_record(record, library, scripts)


def _settle_record(record: Path, library: Path, scripts: Path) -> None:
    """Make RECORD true again: scripts moved and changed, some files are gone."""
    rows = []
    for name, digest, size in csv.reader(record.read_text().splitlines()):
        if name.startswith("bin/") and (script := scripts / name.removeprefix("bin/")).is_file():
            data = script.read_bytes()
            found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append((f"../{name}", f"sha256={found}", str(len(data))))
        elif (library / name).exists():
            rows.append((name, digest, size))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    record.write_text(text.getvalue())


async def finish_python(stage: Path, shell: Shell) -> str:
    """Add interpreters and bytecode to ``stage``, and return its runtime."""
    await disk.in_thread(_add_launchers, stage / SCRIPTS, shell.target.version)
    await compile_modules(stage, shell, shell.target)
    return shell.target.runtime


async def compile_modules(stage: Path, shell: Shell, target: Target) -> int:
    """Compile every module below ``stage`` with the interpreter of ``target``, and return how many there are."""
    sources = await disk.in_thread(_sources, stage)
    # Fixed shares in fixed order: what a process compiled before can show in the bytes of what it compiles next.
    shares = [sources[first::_COMPILERS] for first in range(_COMPILERS)]
    await asyncio.gather(*(_compile(stage, shell, target, share) for share in shares if share))
    return len(sources)


def _add_launchers(scripts: Path, version: str) -> None:
    scripts.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3", f"python{version}"):
        (scripts / name).write_text(_LAUNCHER)
    for script in scripts.iterdir():
        script.chmod(0o755)


def _sources(stage: Path) -> list[str]:
    return sorted(str(path) for path in stage.rglob("*.py") if path.is_file() and not path.is_symlink())


async def _compile(stage: Path, shell: Shell, target: Target, sources: list[str]) -> None:
    """Compile what compiles: packages carry templates and tests for other Pythons, which no program imports."""
    command = (*target.command, *_COMPILE, "-s", str(stage), "-p", "/", "-i", "-")
    await run(shell, command, say="\n".join(sources).encode(), env=target.env)
