"""Images of applications from the npm registry."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Digest, Npm
from bleen.providers.local.images import disk
from bleen.providers.local.images.process import Ended, Shell, last_lines, run

_VERSION = re.compile(r"\d+\.\d+\.\d+([-+][A-Za-z0-9.+-]+)?")
_QUIET = ("--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--logs-max=0")
_NO_NETWORK = ("ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "ENOTCACHED", "ENETUNREACH")


class NpmRecipe(Value, frozen=True):
    """A package of one version, its dependencies locked with hashes. Scripts of packages are not run."""

    source: Npm
    store_locks: str

    @property
    def request(self) -> Digest:
        return digest_of({"npm": self.source})

    async def gather(self, stage: Path, shell: Shell) -> Digest:
        if not _VERSION.fullmatch(self.source.version):
            raise InvalidInput(
                f"{self.source.version!r} is no exact version of {self.source.package}",
                next="write one, such as version: 1.2.3",
            )
        runtime = await node_runtime(shell)
        wanted = {"name": "image", "private": True, "dependencies": {self.source.package: self.source.version}}
        (stage / "package.json").write_text(json.dumps(wanted, indent=2) + "\n")
        lock = Path(self.store_locks, digest_of(wanted).removeprefix("sha256:"))
        if not await disk.in_thread(lock.exists):
            await disk.in_thread(disk.write_whole, lock, await self._resolve(stage, shell))
        text = await disk.in_thread(lock.read_bytes)
        await disk.in_thread((stage / "package-lock.json").write_bytes, text)
        return digest_of({"npm": text.decode(), "for": runtime})

    async def assemble(self, stage: Path, shell: Shell) -> str:
        ended = await run(shell, (_npm(), "ci", *_QUIET, "--prefix", str(stage)))
        if ended.code:
            raise await self._failed(ended, shell)
        # npm's own note of what it did, with the addresses that it used.
        (stage / "node_modules" / ".package-lock.json").unlink(missing_ok=True)
        return await node_runtime(shell)

    async def _resolve(self, stage: Path, shell: Shell) -> bytes:
        ended = await run(shell, (_npm(), "install", "--package-lock-only", *_QUIET, "--prefix", str(stage)))
        if ended.code:
            raise await self._failed(ended, shell)
        lock = json.loads((stage / "package-lock.json").read_bytes())
        for package in lock["packages"].values():
            package.pop("resolved", None)
        return (json.dumps(lock, indent=2, sort_keys=True) + "\n").encode()

    async def _failed(self, ended: Ended, shell: Shell) -> BuildFailed:
        asked = f"{self.source.package} {self.source.version}"
        if any(f"code {code}" in ended.err for code in _NO_NETWORK):
            return BuildFailed(
                f"{asked} could not be fetched: the npm registry does not answer",
                why=last_lines(ended.err, 4),
                next="check the network, then try again",
            )
        if "code E404" in ended.err:
            return BuildFailed(
                f"{asked} could not be found",
                why="the npm registry has no such package",
                next="check the name in the service file",
            )
        if "code ETARGET" in ended.err:
            return BuildFailed(
                f"{asked} could not be found",
                why=f"no such version{await self._versions(shell)}",
                next="choose a version that exists",
            )
        return BuildFailed(f"{asked} could not be installed", why=last_lines(ended.words), next="choose another version")

    async def _versions(self, shell: Shell) -> str:
        ended = await run(shell, (_npm(), "view", *_QUIET, "--json", self.source.package, "versions"))
        if ended.code:
            return ""
        found: Any = json.loads(ended.out or "[]")
        versions = [found] if isinstance(found, str) else found
        return f"; the newest are {', '.join(versions[-5:])}" if versions else ""


def _npm() -> str:
    return _tool("npm")


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BuildFailed(
            f"there is no {name} to build the image with",
            why="it is not on PATH",
            next="install Node.js with npm (Debian: apt install nodejs npm)",
        )
    return found


async def node_runtime(shell: Shell) -> str:
    """Return the runtime of images built here: ``node-20``."""
    ended = await run(shell, (_tool("node"), "--version"))
    major = re.match(r"v(\d+)\.", ended.out)
    if ended.code or major is None:
        raise BuildFailed("node does not say its version", why=last_lines(ended.words), next="node --version")
    return f"node-{major[1]}"
