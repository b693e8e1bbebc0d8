"""The full builder, stage by stage: mmdebstrap, hardening by a benchmark in a chroot, patches, hardening again, a boot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bleen.domain.base import Benchmark, Distributed, Lock, Locked, Recipe
from bleen.domain.codec import digest_of, encode
from bleen.domain.image import Digest
from bleen.providers.debian.apt import Reach, archive_of
from bleen.providers.debian.finish import runtime_of
from bleen.providers.debian.locking import suites_of
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.package import find_file
from bleen.providers.debian.system import SEAL, SYSTEM, bootstrap, fold, is_sound, patch, read_tree, unfold
from bleen.providers.debian.unpack import harden
from bleen.providers.local.images import disk
from bleen.providers.local.images.bases import all_of, get_locked
from bleen.providers.local.images.candidates import RULES, Candidates, Planned
from bleen.providers.local.images.chroot import Chroot, chroot_of, refuse_without_tools, search_of
from bleen.providers.local.images.embedded import BASE, FETCH, HARDENING, PATCHES, RUNTIME, STAGES
from bleen.providers.local.images.python import compile_modules
from bleen.providers.local.images.steps import Spoiled
from bleen.providers.local.images.store import Store, Workspace
from bleen.providers.local.images.target import target_of
from bleen.providers.local.images.tools import Tools
from bleen.providers.openscap import Compliance, Judged, OpenScap, content, read_compliance
from bleen.providers.qemu.guest import Changed, looks, pack
from bleen.providers.qemu.machine import KERNEL, ROOT, boot

BOOT = "boot"
_BOOTED = "booted"
"""The digest of the candidate that came up."""
FULL = 1
"""Raised when this builder makes other bytes of the same lock."""


def full_inputs(recipe: Recipe, lock: Lock, tools: Tools) -> Digest:
    """Return the hash of everything that decides what the system of a recipe is."""
    rules = [recipe.exclude, recipe.hardening, recipe.benchmark]
    packages = [lock.packages, lock.released]
    inputs = {"system": packages, "recipe": rules, "guide": _guide(recipe, tools), "builder": FULL}
    # The same files, published without a boot, are not taken for booted.
    return digest_of(inputs | ({"boot": [lock.boot, looks()]} if recipe.boot else {}))


def _guide(recipe: Recipe, tools: Tools) -> str:
    return "" if recipe.benchmark is Benchmark.NONE else content(search_of(tools))


@dataclass(frozen=True)
class Full:
    """The stages of one system."""

    store: Store
    candidates: Candidates
    planned: Planned
    source: Distributed
    reach: Reach
    tools: Tools
    whole: str = RUNTIME

    @property
    def names(self) -> tuple[str, ...]:
        return (*STAGES, BOOT) if self.recipe.boot else STAGES

    @property
    def recipe(self) -> Recipe:
        return self.source.recipe

    @property
    def lock(self) -> Lock:
        return self.source.lock

    @cached_property
    def _layers(self) -> dict[str, tuple[Locked, ...]]:
        """The packages of the release, those that patches take the place of included; and the patches."""
        suites = suites_of(self.recipe)
        stays = [locked for locked in self.lock.packages if suites[locked.suite] == "base"]
        patches = [locked for locked in self.lock.packages if suites[locked.suite] == "patches"]
        released = sorted((*stays, *self.lock.released), key=lambda locked: locked.name)
        return {"base": tuple(released), "patches": tuple(patches)}

    def key(self, stage: str) -> Digest:
        match stage:
            case "base":
                return digest_of({"system": self._layers["base"], "suite": self.recipe.suite, "builder": FULL})
            case "hardening":
                guide = _guide(self.recipe, self.tools)
                return digest_of({"benchmark": self.recipe.benchmark, "guide": guide, "of": self.key(BASE)})
            case "patches":
                return digest_of({"patches": self._layers["patches"], "gone": self._gone, "of": self.key(HARDENING)})
            case "boot":
                return digest_of({stage: [self.lock.boot, looks()], "of": self.key(RUNTIME)})
            case _:
                return digest_of({stage: [self.recipe.exclude, self.recipe.hardening], "of": self.key(PATCHES)})

    @cached_property
    def _gone(self) -> tuple[str, ...]:
        """Packages of the release that nothing needs any more, once patched."""
        stays = {locked.name for locked in self.lock.packages}
        return tuple(sorted({locked.name for locked in self.lock.released} - stays))

    async def done(self, stage: str) -> bool:
        if stage == FETCH:
            return await disk.in_thread(self._is_fetched)
        if stage == RUNTIME:
            return bool(await disk.in_thread(self.candidates.image, self.key(stage)))
        if stage == BOOT:
            return await disk.in_thread(self._is_booted)
        return await disk.in_thread(self.candidates.find, self.key(stage)) is not None

    def _is_fetched(self) -> bool:
        return all(self.store.has_package(locked.digest, locked.size) for locked in self._every)

    def _is_booted(self) -> bool:
        """Return whether it was the candidate that is there which was booted."""
        booted, digest = self.candidates.find(self.key(BOOT)), self.candidates.image(self.key(RUNTIME))
        return booted is not None and bool(digest) and (booted / _BOOTED).read_text() == digest

    @property
    def _every(self) -> tuple[Locked, ...]:
        return (*self.lock.packages, *self.lock.released, *self.lock.boot)

    async def carry_out(self, stage: str, work: Workspace) -> str:
        refuse_without_tools(self.tools)
        doing = {
            FETCH: self._fetch,
            BASE: self._base,
            HARDENING: self._harden,
            PATCHES: self._patch,
            RUNTIME: self._compile,
            BOOT: self._boot,
        }
        said = await doing[stage](work)
        if stage not in (FETCH, RUNTIME):
            await disk.in_thread(self.candidates.keep, work.path, self.key(stage))
        return said

    async def _fetch(self, work: Workspace) -> str:
        _, fetched = await self._data(self._every)
        whole = sum(locked.size for locked in self._every)
        return f"{fetched / 1e6:.1f} MB of {whole / 1e6:.1f} MB; every digest is as signed"

    async def _data(self, wanted: Sequence[Locked]) -> tuple[Mapping[Locked, bytes], int]:
        """Return the packages, and how many bytes came from the mirror for them."""
        async with MirrorClient(self.reach.patience) as client:

            async def one(locked: Locked) -> bytes:
                archive = archive_of(locked.suite, self.recipe.mirror, Path(self.source.folder), self.reach.apt)
                return await get_locked(self.store, client, archive.address, locked, self.recipe.image)

            return dict(zip(wanted, await all_of([one(locked) for locked in wanted]), strict=True)), client.received

    async def _base(self, work: Workspace) -> str:
        packages, _ = await self._data(self._layers["base"])
        await bootstrap(chroot_of(self.tools, work), packages, self.recipe.suite, work.path)
        return f"{len(packages)} packages of {self.recipe.suite}, their scripts run by mmdebstrap"

    async def _harden(self, work: Workspace) -> str:
        before = await self._before(BASE)
        if self.recipe.benchmark is Benchmark.NONE:
            await disk.in_thread(_pass_on, before, work.path)
            return "no benchmark is asked for; the rules of the recipe come last"
        root = chroot_of(self.tools, work)
        system = await unfold(root, before, work.path)
        said = await self._judged(root, system, None)
        await fold(root, system, work.path)
        return said

    async def _patch(self, work: Workspace) -> str:
        before = await self._before(HARDENING)
        patches, _ = await self._data(self._layers["patches"])
        if not patches and not self._gone:
            await disk.in_thread(_pass_on, before, work.path)
            return "0 packages of the security suite"
        root = chroot_of(self.tools, work)
        system = await unfold(root, before, work.path)
        await patch(root, system, patches, self._gone)
        again = ""
        if self.recipe.benchmark is not Benchmark.NONE:
            again = f"; hardened again: {await self._judged(root, system, read_compliance(before / RULES).before)}"
        await fold(root, system, work.path)
        return f"{len(patches)} packages of the security suite{again}"

    async def _judged(self, root: Chroot, system: Path, first: Judged | None) -> str:
        """Harden the system by the benchmark and judge it, before too unless ``first`` says what it was."""
        oscap = await disk.in_thread(OpenScap, root, self.recipe.benchmark, root.work / "oscap")
        first = first or await oscap.judge(system)
        await oscap.harden(system)
        found = Compliance(self.recipe.benchmark, first, await oscap.judge(system))
        (root.work / RULES).write_bytes(encode(found))
        disk.remove_tree(root.work / "oscap")
        return f"{len(first.failed)} rules of {self.recipe.benchmark} not kept before, {len(found.after.failed)} after"

    async def _compile(self, work: Workspace) -> str:
        said, runtime = await self._written(chroot_of(self.tools, work), work)
        if runtime.startswith("cpython-"):
            target = target_of(work.stage, runtime, self.lock.architecture)
            said += f"; {runtime}, {await compile_modules(work.stage, self.tools.shell(work), target):,} modules compiled"
        await disk.in_thread(self.candidates.keep_image, work.path, self.key(RUNTIME), self.planned.label, runtime)
        return said

    async def _written(self, root: Chroot, work: Workspace) -> tuple[str, str]:
        """Write the files of the image; return what the rules of the recipe took, in words, and the runtime."""
        before = await self._before(PATCHES)
        system = await unfold(root, before, work.path)
        tree = await disk.in_thread(read_tree, system, self.recipe.exclude)
        await disk.in_thread(disk.remove_tree, system)
        said = harden(tree, self.recipe.hardening)
        await disk.in_thread(tree.write, work.stage)
        if (before / RULES).exists():
            (work.path / RULES).write_bytes((before / RULES).read_bytes())
        return said, runtime_of(tree, self.lock.packages)

    async def _boot(self, work: Workspace) -> str:
        digest = await disk.in_thread(self.candidates.image, self.key(RUNTIME))
        if not digest:
            raise Spoiled(RUNTIME)
        packages, _ = await self._data(self.lock.boot)
        machine = work.path / "machine"
        await disk.in_thread(self._put_together, machine, digest, packages)
        up = await boot(chroot_of(self.tools, work), self.planned.label.name, machine)
        await disk.in_thread(self._note, work.path, digest)
        return f"up in {up.seconds:.1f} s under QEMU: {up.what}"

    def _put_together(self, machine: Path, digest: Digest, packages: Mapping[Locked, bytes]) -> None:
        """Write what the candidate is booted with, and its files; Spoiled where they are not those of its digest."""
        machine.mkdir()
        (kernel, kernel_deb), (busybox, busybox_deb) = packages.items()
        (machine / KERNEL).write_bytes(find_file(kernel_deb, kernel, "boot/vmlinuz-"))
        program = find_file(busybox_deb, busybox, "usr/bin/busybox")
        stage, draft = self.candidates.draft(digest)
        try:
            pack(stage, draft.content.files, draft.content.runtime, program, machine / ROOT)
        except (Changed, FileNotFoundError) as error:
            self.candidates.drop(self.key(RUNTIME))
            raise Spoiled(RUNTIME) from error

    def _note(self, work: Path, digest: Digest) -> None:
        """Keep that it came up; what it was booted with is not needed again."""
        disk.remove_tree(work / "machine")
        disk.write_whole(work / _BOOTED, digest.encode())
        self.candidates.drop(self.key(BOOT))

    async def _before(self, stage: str) -> Path:
        """Return what an earlier stage made; where a crash of the machine spoiled it, it is forgotten and asked for again."""
        found = self.candidates.find(self.key(stage))
        if found is None or not await disk.in_thread(is_sound, found):
            await disk.in_thread(self.candidates.drop, self.key(stage))
            raise Spoiled(stage)
        return found


def _pass_on(before: Path, work: Path) -> None:
    """Make the system of an earlier stage that of this one: nothing is done to it."""
    for name in (SYSTEM, SEAL, RULES):
        if (before / name).exists():
            (work / name).hardlink_to(before / name)
