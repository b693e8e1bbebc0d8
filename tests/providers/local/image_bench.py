"""What the tests of local images share: small applications, a home, and ways to break things."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed
from bleen.domain.image import Directory, Image, Source
from bleen.providers.local.images import LocalImages, process_environment


def write_app(folder: Path, number: int = 1, files: int = 3) -> Path:
    """Make ``folder`` a small application; what is shared between numbers comes out as shared blobs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.py").write_text(f"print({number})\n")
    for place in range(files):
        (folder / f"shared-{place}.txt").write_text(f"the same in all {place}\n")
    return folder


@dataclass
class LocalBench:
    images: LocalImages
    folder: Path
    home: Path

    def source(self, number: int) -> Source:
        write_app(self.folder / f"app-{number}", number)
        return Directory(path=f"app-{number}", version=f"{number}.0")

    def missing(self) -> Source:
        return Directory(path="nowhere")

    def damage(self, digest: str) -> str:
        overwrite(self.images.tree(digest) / "hello.py", "print(0)\n")
        return "hello.py"


def local_bench(folder: Path) -> LocalBench:
    home = folder / "home"
    return LocalBench(LocalImages(home), folder, home)


def overwrite(path: Path, text: str) -> None:
    """Change a read-only file and leave its mode as it was."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(mode)


def leftovers(home: Path) -> list[str]:
    """Return what builds left in the store."""
    work = home / "images" / "work"
    return sorted(path.name for path in work.iterdir()) if work.exists() else []


def stored(home: Path, kind: str) -> set[Path]:
    """Return the files, or trees, of one kind that are in the store."""
    found = home / "images" / kind
    return set(found.iterdir()) if kind == "trees" and found.exists() else {path for path in found.rglob("*") if path.is_file()}


async def build_or_skip(images: LocalImages, source: Source, folder: Path) -> Image:
    """Return the image; skips, saying so, where the registry cannot be reached from here."""
    try:
        return await images.build("app", source, folder)
    except BuildFailed as error:
        if "does not answer" in error.what or "there is no npm" in error.what or "there is no node" in error.what:
            pytest.skip(str(error))
        raise


def run(bench: LocalBench, image: Image, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run ``command`` as an instance would, in a folder that is not the application's."""
    environment = process_environment(image, str(bench.images.tree(image.digest)))
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)


async def until(seen: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return when ``seen`` is true; fails after a deadline."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.001)
