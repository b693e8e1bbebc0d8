"""The embedded builder, stage by stage: a base of a distribution's packages, without apt, dpkg or root.

Hardening comes before the patches, and again over what the patches brought: none brings back what was taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bleen.domain.base import Distributed, Lock, Locked, Recipe
from bleen.domain.codec import digest_of
from bleen.domain.image import Digest
from bleen.providers.debian.apt import Reach, archive_of
from bleen.providers.debian.finish import describe, finish, runtime_of
from bleen.providers.debian.locking import suites_of
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.package import Package, open_package
from bleen.providers.debian.shelf import put_down, take_up
from bleen.providers.debian.unpack import Tree, any_of, harden
from bleen.providers.local.images import disk
from bleen.providers.local.images.bases import BUILDER, all_of, get_locked
from bleen.providers.local.images.candidates import Candidates, Planned
from bleen.providers.local.images.python import compile_modules
from bleen.providers.local.images.steps import Spoiled
from bleen.providers.local.images.store import Store, Workspace
from bleen.providers.local.images.target import target_of
from bleen.providers.local.images.tools import Tools

FETCH, BASE, HARDENING, PATCHES, RUNTIME = STAGES = ("fetch", "base", "hardening", "patches", "runtime")


@dataclass(frozen=True)
class Embedded:
    """The stages of one base."""

    store: Store
    candidates: Candidates
    planned: Planned
    source: Distributed
    reach: Reach
    tools: Tools
    names: tuple[str, ...] = STAGES
    whole: str = RUNTIME

    @property
    def recipe(self) -> Recipe:
        return self.source.recipe

    @property
    def lock(self) -> Lock:
        return self.source.lock

    def key(self, stage: str) -> Digest:
        recipe, layers = self.recipe, self._layers()
        match stage:
            case "base":
                return digest_of({"base": layers["base"], "exclude": recipe.exclude, "builder": BUILDER})
            case "hardening":
                return digest_of({"hardening": recipe.hardening, "of": self.key(BASE)})
            case "patches":
                return digest_of({"patches": layers["patches"], "of": self.key(HARDENING)})
            case _:
                return digest_of({stage: self.lock.architecture, "of": self.key(PATCHES)})

    async def done(self, stage: str) -> bool:
        if stage == FETCH:
            return await disk.in_thread(self._is_fetched)
        if stage == RUNTIME:
            return bool(await disk.in_thread(self.candidates.image, self.key(stage)))
        return await disk.in_thread(self.candidates.find, self.key(stage)) is not None

    def _is_fetched(self) -> bool:
        return all(self.store.has_package(locked.digest, locked.size) for locked in self.lock.packages)

    async def carry_out(self, stage: str, work: Workspace) -> str:
        doing = {
            FETCH: self._fetch,
            BASE: self._base,
            HARDENING: self._harden,
            PATCHES: self._patch,
            RUNTIME: self._compile,
        }
        said = await doing[stage](work)
        if stage not in (FETCH, RUNTIME):
            await disk.in_thread(self.candidates.keep, work.path, self.key(stage))
        return said

    def _layers(self) -> dict[str, list[Locked]]:
        suites = suites_of(self.recipe)
        layers: dict[str, list[Locked]] = {"base": [], "patches": []}
        for locked in self.lock.packages:
            layers[suites[locked.suite]].append(locked)
        return layers

    async def _fetch(self, work: Workspace) -> str:
        async with MirrorClient(self.reach.patience) as client:
            await all_of([self._get(client, locked) for locked in self.lock.packages])
            fetched = client.received
        whole = sum(locked.size for locked in self.lock.packages)
        return f"{fetched / 1e6:.1f} MB of {whole / 1e6:.1f} MB; every digest is as signed"

    async def _get(self, client: MirrorClient, locked: Locked) -> bytes:
        archive = archive_of(locked.suite, self.recipe.mirror, Path(self.source.folder), self.reach.apt)
        return await get_locked(self.store, client, archive.address, locked, self.recipe.image)

    async def _packages(self, layer: Sequence[Locked]) -> list[Package]:
        """Return the packages, opened; one that somebody removed meanwhile is fetched again."""
        async with MirrorClient(self.reach.patience) as client:
            return [await disk.in_thread(open_package, await self._get(client, locked), locked) for locked in layer]

    async def _base(self, work: Workspace) -> str:
        packages = await self._packages(self._layers()["base"])
        tree = Tree()
        await disk.in_thread(self._add, tree, packages)
        await disk.in_thread(put_down, tree, packages, work.path)
        return f"{len(packages)} packages of {self.recipe.suite}, {len(tree.members):,} files"

    async def _harden(self, work: Workspace) -> str:
        tree, packages = await self._taken_up(BASE)
        said = harden(tree, self.recipe.hardening)
        await disk.in_thread(put_down, tree, packages, work.path, self.candidates.find(self.key(BASE)))
        return said

    async def _patch(self, work: Workspace) -> str:
        tree, before = await self._taken_up(HARDENING)
        patches = await self._packages(self._layers()["patches"])
        packages = sorted((*before, *patches), key=lambda package: package.locked.name)
        await disk.in_thread(self._add, tree, patches)
        said = harden(tree, self.recipe.hardening) if patches else ""
        describe(tree, packages)
        await disk.in_thread(put_down, tree, packages, work.path, self.candidates.find(self.key(HARDENING)))
        names = ", ".join(package.locked.name for package in patches[:4]) + (", ..." if len(patches) > 4 else "")
        again = f"; hardened again: {said}" if said else ""
        return f"{len(patches)} packages of the security suite{names and f': {names}'}{again}"

    def _add(self, tree: Tree, packages: Sequence[Package]) -> None:
        exclude = any_of(self.recipe.exclude)
        for package in packages:
            tree.add(package, exclude)
        finish(tree, packages)

    async def _compile(self, work: Workspace) -> str:
        tree, _ = await self._taken_up(PATCHES)
        runtime = runtime_of(tree, self.lock.packages)
        await disk.in_thread(tree.write, work.stage)
        said = "no interpreter"
        if runtime.startswith("cpython-"):
            target = target_of(work.stage, runtime, self.lock.architecture)
            said = f"{runtime}, {await compile_modules(work.stage, self.tools.shell(work), target):,} modules compiled"
        elif runtime:
            said = runtime
        await disk.in_thread(self.candidates.keep_image, work.path, self.key(RUNTIME), self.planned.label, runtime)
        return said

    async def _taken_up(self, stage: str) -> tuple[Tree, list[Package]]:
        """Return the tree of an earlier stage; where a crash of the machine spoiled it, it is forgotten and asked for again."""
        folder = self.candidates.find(self.key(stage))
        found = await disk.in_thread(take_up, folder) if folder is not None else None
        if found is None:
            await disk.in_thread(self.candidates.drop, self.key(stage))
            raise Spoiled(stage)
        return found
