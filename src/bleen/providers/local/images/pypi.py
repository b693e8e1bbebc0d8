"""Images of applications from the Python package index."""

import re
from pathlib import Path

from bleen.domain.codec import Value, digest_of
from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Digest, Pypi
from bleen.providers.local.images import disk
from bleen.providers.local.images.environment import base_python, python_runtime
from bleen.providers.local.images.process import Ended, Shell, Target, last_lines, run
from bleen.providers.local.images.python import finish_python, install_packages, uv

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_NO_PACKAGE = re.compile(r"Because (\S+) was not found in the package registry")
_NO_VERSION = re.compile(r"there is no version of ([A-Za-z0-9._-]+)==(\S+?)[,.]? and")
_NO_NETWORK = re.compile(r"Failed to fetch|error sending request|network was disabled|dns error|Could not connect")
_COMPILE = ("pip", "compile", "-q", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")


class PypiRecipe(Value, frozen=True):
    """A package of one version, its dependencies locked with hashes."""

    source: Pypi
    folder: str
    store_locks: str

    @property
    def request(self) -> Digest:
        return digest_of({"pypi": self.source, "in": self.folder if self.source.lock else "", "for": python_runtime()})

    async def gather(self, stage: Path, shell: Shell) -> Digest:
        check_versions(self.source)
        lock = self._lock(shell.target)
        if not await disk.in_thread(lock.exists):
            await disk.in_thread(disk.write_whole, lock, await self._resolve(shell))
        data = await disk.in_thread(lock.read_bytes)
        text = data.decode(errors="replace")
        self._check_lock(lock, text)
        await disk.in_thread(Path(shell.folder, "requirements.txt").write_bytes, data)
        return digest_of({"pypi": text, "for": shell.target.runtime})

    async def assemble(self, stage: Path, shell: Shell) -> str:
        await install_packages(stage, shell, Path(shell.folder, "requirements.txt"))
        return await finish_python(stage, shell)

    def _lock(self, target: Target) -> Path:
        """Return the lock beside the service, or that of the store: what was once resolved stays so."""
        if self.source.lock:
            return Path(self.folder, self.source.lock)
        asked = {"package": _plain(self.source.package), "version": self.source.version, "with": self.source.with_packages}
        return Path(self.store_locks, digest_of({**asked, "for": target.runtime}).removeprefix("sha256:"))

    async def _resolve(self, shell: Shell) -> bytes:
        wanted = (f"{self.source.package}=={self.source.version}", *self.source.with_packages)
        made = Path(shell.folder, "lock.txt")
        target = ("--universal", "--python-version", shell.target.version, "--python", str(base_python()))
        command = (uv(), *_COMPILE, "--generate-hashes", *target, "-o", str(made), "-")
        ended = await run(shell, command, say="\n".join(wanted).encode())
        if ended.code:
            raise await _unresolved(self.source, ended, shell)
        return await disk.in_thread(made.read_bytes)

    def _check_lock(self, lock: Path, text: str) -> None:
        pins = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
        versions = [version for name, version in pins if _plain(name) == _plain(self.source.package)]
        if self.source.version not in versions:
            found = f"it pins {', '.join(versions)}" if versions else "it does not name the package"
            raise InvalidInput(
                f"the lock is not one of {self.source.package} {self.source.version}",
                why=found,
                next=f"remove {lock} to have it made again, or correct the version",
                where=str(lock),
            )


def check_versions(source: Pypi) -> None:
    """Refuse what is no exact version: the same file would be another image tomorrow."""
    if not _VERSION.fullmatch(source.version):
        raise InvalidInput(
            f"{source.version!r} is no exact version of {source.package}", next="write one, such as version: 1.2.3"
        )
    for requirement in source.with_packages:
        if not _PINNED.fullmatch(requirement):
            raise InvalidInput(
                f"{requirement!r} names no exact version", next="write with_packages as name==version: setuptools==80.9.0"
            )


async def _unresolved(source: Pypi, ended: Ended, shell: Shell) -> BuildFailed:
    """Return why there is no lock, in the words of whoever asked for it."""
    words = " ".join(ended.words.split())
    asked = f"{source.package} {source.version}"
    if _NO_NETWORK.search(words):
        return BuildFailed(
            f"{asked} could not be fetched: the package index does not answer",
            why=last_lines(ended.words, 6),
            next="check the network, then try again",
        )
    if absent := _NO_PACKAGE.search(words):
        return BuildFailed(
            f"{asked} could not be found",
            why=f"the package index has no {absent[1]}",
            next="check the name in the service file",
        )
    if absent := _NO_VERSION.search(words):
        newest = await _newest(absent[1], shell)
        return BuildFailed(
            f"{asked} could not be found",
            why=f"{absent[1]} has no version {absent[2]}{newest and f'; {newest}'}",
            next="choose a version that exists",
        )
    return BuildFailed(
        f"the dependencies of {asked} could not be resolved",
        why=last_lines(ended.words),
        next="pin what collides with with_packages, or choose another version",
    )


async def _newest(package: str, shell: Shell) -> str:
    """Return which versions there are, as far as one question each tells."""
    found: list[str] = []
    for kind, prerelease in (("the newest is", "disallow"), ("the newest pre-release", "allow")):
        ended = await run(shell, (uv(), *_COMPILE, "--no-deps", "--prerelease", prerelease, "-"), say=package.encode())
        version = ended.out.strip().partition("==")[2]
        if ended.code == 0 and version and not any(version in said for said in found):
            found.append(f"{kind} {version}")
    return ", ".join(found)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
