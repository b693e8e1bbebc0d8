"""`LocalImages`: builds images on this machine and keeps them below its home."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

from msgspec import structs

from bleen.domain.base import HOST, Distributed, Exported
from bleen.domain.codec import digest_of
from bleen.domain.errors import BuildFailed, InvalidInput
from bleen.domain.image import Archive, Digest, Directory, File, Image, Npm, Pypi, Source
from bleen.domain.provenance import Provenance
from bleen.providers.local.images import disk
from bleen.providers.local.images.archive import ArchiveRecipe
from bleen.providers.local.images.candidates import Candidates
from bleen.providers.local.images.directory import DirectoryRecipe
from bleen.providers.local.images.export import export_image
from bleen.providers.local.images.npm import NpmRecipe
from bleen.providers.local.images.process import Shell, Target
from bleen.providers.local.images.pypi import PypiRecipe
from bleen.providers.local.images.recipe import Recipe
from bleen.providers.local.images.store import Label, Manifest, Store, Workspace, newest_first
from bleen.providers.local.images.target import target_of
from bleen.providers.local.images.tools import Tools
from bleen.providers.local.images.tree import copy_tree


class LocalImages:
    """Keeps the port `Images` in ``<home>/images``; any number of processes may share it.

    ``environ`` is that of the build tools (proxies, indexes, credentials); one tool may run for ``timeout`` seconds.
    """

    def __init__(self, home: Path, *, environ: Mapping[str, str] = os.environ, timeout: float = 600.0) -> None:
        if ":" in str(home):
            raise InvalidInput(
                f"{home} cannot be a home", why="a colon ends a folder in PATH", next="set BLEEN_HOME to a path without one"
            )
        self.store = Store(home.absolute() / "images")
        self._tools = Tools(environ, timeout)

    async def build(self, name: str, source: Source, folder: Path, base: str = HOST) -> Image:
        recipe = self.recipe(source, folder)
        with disk.room_on(self.store.root):
            await disk.in_thread(self.store.sweep)
            async with disk.waiting_for(self.store.builder_lock(recipe.request)), self.store.workspace() as work:
                shell = await self.shell(work, base)
                lock = await recipe.gather(work.stage, shell)
                version = source.version or lock.removeprefix("sha256:")[:12]
                key = lock if base == HOST else digest_of({"application": lock, "on": base})
                label = Label(name, version, source, key, base)
                manifest = await disk.in_thread(self.store.recall, key) or await self._make(recipe, label, work, shell)
        # Equal content is one image; whoever asks gets it under the name that was asked for.
        return structs.replace(manifest.image, name=label.name, version=label.version)

    async def rebase(self, digest: Digest, base: Digest) -> Image:
        # What nobody vouches for is not vouched for again under another digest.
        await self.verify(digest)
        before = await disk.in_thread(self.store.manifest, digest)
        if not before.content.base.startswith("sha256:"):
            raise BuildFailed(f"{before.name} cannot be put on another base", why="it stands on none", next="bleen image show")
        key = digest_of({"application of": digest, "on": base})
        label = Label(before.name, before.version, before.source, key, base)
        check_runtime(label.name, before.content.runtime, await self.find(base))
        with disk.room_on(self.store.root):
            async with disk.waiting_for(self.store.builder_lock(key)), self.store.workspace() as work:
                manifest = await disk.in_thread(self.store.recall, key) or await self._copy(before, digest, label, work)
        return structs.replace(manifest.image, name=label.name, version=label.version)

    async def _copy(self, before: Manifest, digest: Digest, label: Label, work: Workspace) -> Manifest:
        await disk.in_thread(copy_tree, self.store.tree(digest), work.stage, before.content.files)
        return await disk.in_thread(self.store.publish, work.stage, before.content.runtime, label)

    async def shell(self, work: Workspace, base: str) -> Shell:
        """Return how tools are run for the build in ``work`` of what is to stand on ``base``."""
        return self._tools.shell(work, await self._target(base))

    async def _target(self, base: str) -> Target | None:
        """Return the Python of the base; None where that is this machine's own, or the base has none."""
        if base == HOST:
            return None
        manifest = await disk.in_thread(self.store.manifest, base)
        if not (isinstance(manifest.source, Distributed) and manifest.content.runtime.startswith("cpython-")):
            return None
        return target_of(self.store.tree(base), manifest.content.runtime, manifest.source.lock.architecture)

    async def _make(self, recipe: Recipe, label: Label, work: Workspace, shell: Shell) -> Manifest:
        runtime = await recipe.assemble(work.stage, shell)
        if label.base != HOST:
            check_runtime(label.name, runtime, await self.find(label.base))
        return await disk.in_thread(self.store.publish, work.stage, runtime, label)

    def recipe(self, source: Source, folder: Path) -> Recipe:
        """Return how ``source`` becomes a tree."""
        folder = folder.absolute()
        locks = str(self.store.root / "locks")
        match source:
            case Pypi():
                return PypiRecipe(source, str(folder), locks)
            case Npm():
                return NpmRecipe(source, locks)
            case Directory():
                return DirectoryRecipe(source, str(folder), str(self.store.root.parent))
            case Archive():
                return ArchiveRecipe(source, str(folder))
            case _:
                assert_never(source)

    async def find(self, digest: Digest) -> Image:
        return (await disk.in_thread(self.store.manifest, digest)).image

    async def files(self, digest: Digest) -> Sequence[File]:
        return (await disk.in_thread(self.store.manifest, digest)).content.files

    async def verify(self, digest: Digest) -> Provenance:
        return await disk.in_thread(self.store.verify, digest)

    async def envelope(self, digest: Digest) -> bytes:
        """Return the signed provenance of the image, for whoever publishes it elsewhere; ImageRejected."""
        return await disk.in_thread(self.store.notary.envelope, digest)

    async def manifest(self, digest: Digest) -> Manifest:
        """Return all that is known of the image; NotFound, ImageRejected where the record was changed."""
        return await disk.in_thread(self.store.manifest, digest)

    async def export(self, digest: Digest, folder: Path) -> Exported:
        """Write the image, and the base that it stands on, as an OCI image layout into ``folder``; NotFound, Conflict.

        Every file is read and checked on the way.
        """
        with disk.room_on(folder):
            return await disk.in_thread(export_image, self.store, digest, folder)

    async def list(self) -> Sequence[Image]:
        return newest_first(manifest.image for manifest in await disk.in_thread(self.store.manifests))

    async def remove(self, digest: Digest) -> None:
        with disk.room_on(self.store.root):
            await disk.in_thread(self.store.remove, digest)

    def rules(self, digest: Digest) -> Path | None:
        """Return where what a benchmark said of the image lies or should; None where none was asked."""
        return Candidates(self.store).rules(digest)

    def parts(self, digest: Digest) -> tuple[Path, tuple[str, ...]]:
        """Return the home, and what of it another one needs to verify the image and to run it: no private key; NotFound."""
        return self.store.root.parent, self.store.parts(digest)

    def tree(self, digest: Digest) -> Path:
        """Return the folder to run the image from, read-only; NotFound. `verify` it first."""
        return self.store.tree(digest)


def check_runtime(name: str, runtime: str, base: Image) -> None:
    """Refuse an application that was made for another runtime than its base has: BuildFailed."""
    if runtime and runtime != base.runtime:
        has = f"{base.name} has {base.runtime}" if base.runtime else f"{base.name} has no interpreter"
        raise BuildFailed(
            f"{name} cannot stand on {base.name}",
            why=f"it is built for {runtime}, and {has}",
            next="name the interpreter among the packages of the recipe, in that version",
        )
