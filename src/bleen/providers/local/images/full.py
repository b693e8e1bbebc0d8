"""The full builder, stage by stage: mmdebstrap, hardening by a benchmark in a chroot, patches, hardening again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bleen.domain.base import Benchmark, Distributed, Lock, Locked, Recipe
from bleen.domain.codec import decode, digest_of, encode
from bleen.domain.image import Digest
from bleen.providers.debian.apt import Reach, archive_of
from bleen.providers.debian.finish import runtime_of
from bleen.providers.debian.locking import suites_of
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.system import bootstrap, fold, patch, read_tree, refuse_without_tools, unfold
from bleen.providers.debian.unpack import harden
from bleen.providers.local.images import disk
from bleen.providers.local.images.bases import all_of, get_locked
from bleen.providers.local.images.candidates import RULES, Candidates, Planned
from bleen.providers.local.images.embedded import BASE, FETCH, HARDENING, PATCHES, RUNTIME, STAGES
from bleen.providers.local.images.python import compile_modules
from bleen.providers.local.images.steps import Spoiled
from bleen.providers.local.images.store import Store, Workspace
from bleen.providers.local.images.target import target_of
from bleen.providers.local.images.tools import Tools
from bleen.providers.openscap import Compliance, Judged, OpenScap, content

FULL = 1
"""Raised when this builder makes other bytes of the same lock."""


def full_inputs(recipe: Recipe, lock: Lock) -> Digest:
    """Return the hash of everything that decides what the system of a recipe is."""
    rules = [recipe.exclude, recipe.hardening, recipe.benchmark]
    return digest_of({"system": [lock.packages, lock.released], "recipe": rules, "guide": _guide(recipe), "builder": FULL})


def _guide(recipe: Recipe) -> str:
    return "" if recipe.benchmark is Benchmark.NONE else content()


@dataclass(frozen=True)
class Full:
    """The stages of one system."""

    store: Store
    candidates: Candidates
    planned: Planned
    source: Distributed
    reach: Reach
    tools: Tools
    names: tuple[str, ...] = STAGES

    @property
    def recipe(self) -> Recipe:
        return self.source.recipe

    @property
    def lock(self) -> Lock:
        return self.source.lock

    @cached_property
    def _begins_with(self) -> tuple[Locked, ...]:
        """The packages of the release: those that stay, and those that patches take the place of."""
        suites = suites_of(self.recipe)
        stays = [locked for locked in self.lock.packages if suites[locked.suite] == "base"]
        return tuple(sorted((*stays, *self.lock.released), key=lambda locked: locked.name))

    def key(self, stage: str) -> Digest:
        match stage:
            case "base":
                return digest_of({"system": self._begins_with, "builder": FULL})
            case "hardening":
                return digest_of({"benchmark": self.recipe.benchmark, "guide": _guide(self.recipe), "of": self.key(BASE)})
            case "patches":
                return digest_of({"patches": self.lock.packages, "of": self.key(HARDENING)})
            case _:
                return digest_of({stage: [self.recipe.exclude, self.recipe.hardening], "of": self.key(PATCHES)})

    async def done(self, stage: str) -> bool:
        if stage == FETCH:
            return await disk.in_thread(self._is_fetched)
        if stage == RUNTIME:
            return bool(await disk.in_thread(self.candidates.image, self.key(stage)))
        return await disk.in_thread(self.candidates.find, self.key(stage)) is not None

    def _is_fetched(self) -> bool:
        return all(self.store.has_package(locked.digest, locked.size) for locked in self._every)

    @property
    def _every(self) -> tuple[Locked, ...]:
        return (*self.lock.packages, *self.lock.released)

    async def carry_out(self, stage: str, work: Workspace) -> str:
        refuse_without_tools()
        if stage == FETCH:
            await self._data(self._every)
            whole = sum(locked.size for locked in self._every)
            return f"{len(self._every)} packages, {whole / 1e6:.1f} MB; every digest is as signed"
        doing = {BASE: self._base, HARDENING: self._harden, PATCHES: self._patch, RUNTIME: self._compile}
        said = await doing[stage](work)
        if stage != RUNTIME:
            await disk.in_thread(self.candidates.keep, work.path, self.key(stage))
        return said

    async def _data(self, wanted: Sequence[Locked]) -> Mapping[Locked, bytes]:
        async with MirrorClient(self.reach.patience) as client:

            async def one(locked: Locked) -> bytes:
                archive = archive_of(locked.suite, self.recipe.mirror, Path(self.source.folder), self.reach.apt)
                return await get_locked(self.store, client, archive.address, locked, self.recipe.image)

            return dict(zip(wanted, await all_of([one(locked) for locked in wanted]), strict=True))

    async def _base(self, work: Workspace) -> str:
        packages = await self._data(self._begins_with)
        await disk.in_thread(bootstrap, packages, self.recipe.suite, work.path)
        return f"{len(packages)} packages of {self.recipe.suite}, their scripts run by mmdebstrap"

    async def _harden(self, work: Workspace) -> str:
        return await disk.in_thread(self._hardened, self._before(BASE), work.path, None)

    def _hardened(self, before: Path, work: Path, patches: Mapping[Locked, bytes] | None) -> str:
        """Make the system of a stage: ``before``, patched where there are patches, hardened by the benchmark."""
        system = unfold(before, work)
        if patches is not None:
            gone = {locked.name for locked in self.lock.released} - {locked.name for locked in self.lock.packages}
            patch(system, patches, sorted(gone))
        said = "no benchmark is asked for"
        if self.recipe.benchmark is not Benchmark.NONE:
            oscap = OpenScap(self.recipe.benchmark, work / "oscap")
            first = _read(before).before if (before / RULES).exists() else oscap.judge(system)
            oscap.harden(system)
            found = Compliance(self.recipe.benchmark, first, oscap.judge(system))
            (work / RULES).write_bytes(encode(found))
            disk.remove_tree(work / "oscap")
            said = f"{_words(first)} before, {_words(found.after)} after"
        fold(system, work)
        return said

    async def _patch(self, work: Workspace) -> str:
        suites = suites_of(self.recipe)
        patches = await self._data([locked for locked in self.lock.packages if suites[locked.suite] == "patches"])
        said = await disk.in_thread(self._hardened, self._before(HARDENING), work.path, patches)
        return f"{len(patches)} packages of the security suite; hardened again: {said}"

    async def _compile(self, work: Workspace) -> str:
        before = self._before(PATCHES)
        said, runtime = await disk.in_thread(self._written, before, work)
        if runtime.startswith("cpython-"):
            target = target_of(work.stage, runtime, self.lock.architecture)
            said += f"; {runtime}, {await compile_modules(work.stage, self.tools.shell(work), target):,} modules compiled"
        await disk.in_thread(self.candidates.keep_image, work.path, self.key(RUNTIME), self.planned.label, runtime)
        return said

    def _written(self, before: Path, work: Workspace) -> tuple[str, str]:
        system = unfold(before, work.path)
        tree = read_tree(system, self.recipe.exclude)
        disk.remove_tree(system)
        said = harden(tree, self.recipe.hardening)
        tree.write(work.stage)
        if (before / RULES).exists():
            (work.path / RULES).write_bytes((before / RULES).read_bytes())
        return said, runtime_of(tree)

    def _before(self, stage: str) -> Path:
        found = self.candidates.find(self.key(stage))
        if found is None:
            raise Spoiled(stage)
        return found


def _read(folder: Path) -> Compliance:
    found: Compliance = decode((folder / RULES).read_bytes(), Compliance)
    return found


def _words(judged: Judged) -> str:
    return f"{len(judged.failed)} rules not kept"
