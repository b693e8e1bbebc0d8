"""`LocalImages`: builds images on this machine and keeps them below its home."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

from msgspec import structs

from bleen.domain.errors import InvalidInput
from bleen.domain.image import Archive, Digest, Directory, File, Image, Npm, Pypi, Source
from bleen.domain.provenance import Provenance
from bleen.providers.local.images import disk
from bleen.providers.local.images.archive import ArchiveRecipe
from bleen.providers.local.images.directory import DirectoryRecipe
from bleen.providers.local.images.npm import NpmRecipe
from bleen.providers.local.images.process import Shell
from bleen.providers.local.images.pypi import PypiRecipe
from bleen.providers.local.images.recipe import Recipe
from bleen.providers.local.images.store import Label, Manifest, Store, Workspace, newest_first

_FIXED = {
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "1577836800",
    "UV_NO_PROGRESS": "1",
}
"""What would else find its way into the bytes, or the words, of a build. The date is one that zip can hold."""


class LocalImages:
    """Keeps the port `Images` in ``<home>/images``; any number of processes may share it.

    ``environ`` is that of the build tools (proxies, indexes, credentials); one tool may run for ``timeout`` seconds.
    """

    def __init__(self, home: Path, *, environ: Mapping[str, str] = os.environ, timeout: float = 600.0) -> None:
        if ":" in str(home):
            raise InvalidInput(
                f"{home} cannot be a home", why="a colon ends a folder in PATH", next="set BLEEN_HOME to a path without one"
            )
        self._store = Store(home.absolute() / "images")
        self._environ = {key: value for key, value in environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self._timeout = timeout

    async def build(self, name: str, source: Source, folder: Path) -> Image:
        recipe = self._recipe(source, folder)
        with disk.room_on(self._store.root):
            await disk.in_thread(self._store.sweep)
            async with disk.waiting_for(self._store.builder_lock(recipe.request)), self._store.workspace() as work:
                shell = self._shell(work)
                lock = await recipe.gather(work.stage, shell)
                label = Label(name, source.version or lock.removeprefix("sha256:")[:12], source, lock)
                manifest = await disk.in_thread(self._store.recall, lock) or await self._make(recipe, label, work, shell)
        # Equal content is one image; whoever asks gets it under the name that was asked for.
        return structs.replace(manifest.image, name=label.name, version=label.version)

    async def _make(self, recipe: Recipe, label: Label, work: Workspace, shell: Shell) -> Manifest:
        runtime = await recipe.assemble(work.stage, shell)
        return await disk.in_thread(self._store.publish, work.stage, runtime, label)

    def _recipe(self, source: Source, folder: Path) -> Recipe:
        folder = folder.absolute()
        locks = str(self._store.root / "locks")
        match source:
            case Pypi():
                return PypiRecipe(source, str(folder), locks)
            case Npm():
                return NpmRecipe(source, locks)
            case Directory():
                return DirectoryRecipe(source, str(folder), str(self._store.root))
            case Archive():
                return ArchiveRecipe(source, str(folder))
            case _:
                assert_never(source)

    def _shell(self, work: Workspace) -> Shell:
        environ = {**self._environ, **_FIXED, "TMPDIR": work.folder}
        return Shell(folder=work.folder, environ=environ, timeout=self._timeout, lock=work.lock)

    async def find(self, digest: Digest) -> Image:
        return (await disk.in_thread(self._store.manifest, digest)).image

    async def files(self, digest: Digest) -> Sequence[File]:
        return (await disk.in_thread(self._store.manifest, digest)).content.files

    async def verify(self, digest: Digest) -> Provenance:
        return await disk.in_thread(self._store.verify, digest)

    async def list(self) -> Sequence[Image]:
        return newest_first(manifest.image for manifest in await disk.in_thread(self._store.manifests))

    async def remove(self, digest: Digest) -> None:
        with disk.room_on(self._store.root):
            await disk.in_thread(self._store.remove, digest)

    def tree(self, digest: Digest) -> Path:
        """Return the folder to run the image from, read-only; NotFound. `verify` it first."""
        return self._store.tree(digest)
