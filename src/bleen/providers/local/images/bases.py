"""`LocalBases`: builds base images on this machine from a distribution's packages, without apt, dpkg or root."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bleen.domain.base import HOST, SCRATCH, BaseOrder, Distributed, Lock, Locked, Maker, Recipe, Stage
from bleen.domain.codec import decode, digest_of, encode
from bleen.domain.errors import BleenError, BuildFailed, InvalidInput, NotFound
from bleen.domain.image import Digest, Image
from bleen.domain.patching import Patching
from bleen.ports import Tell
from bleen.providers.debian.apt import Reach, archive_of
from bleen.providers.debian.finish import describe, finish, runtime_of
from bleen.providers.debian.locking import make_lock, suites_of
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.package import Package, open_package
from bleen.providers.debian.pending import SecuritySuite
from bleen.providers.debian.unpack import Tree, by_suite, harden, unpack
from bleen.providers.local.images import disk
from bleen.providers.local.images.candidates import Candidates
from bleen.providers.local.images.process import Shell
from bleen.providers.local.images.python import compile_modules
from bleen.providers.local.images.store import Label, Manifest, Store, Workspace
from bleen.providers.local.images.target import target_of
from bleen.providers.local.images.tools import Tools

T = TypeVar("T")

BUILDER = 1
"""Raised when the builder makes other bytes of the same lock: images of the one before are built again."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class LocalBases:
    """Keeps the port `Bases` in ``<home>/images``, beside the images that stand on them."""

    def __init__(
        self,
        home: Path,
        *,
        reach: Reach | None = None,
        clock: Callable[[], datetime] = utc_now,
        tools: Tools | None = None,
    ) -> None:
        self._store = Store(home.absolute() / "images")
        self.reach = reach or Reach()
        self._clock = clock
        self.tools = tools or Tools()
        self._candidates = Candidates(self._store)
        self._security = SecuritySuite(self.reach, self._get)

    async def build(self, order: BaseOrder, tell: Tell) -> Image:
        async with self._building(order) as work:
            return await self._run(order, await self.lock(order, tell), work, tell)

    async def renew(self, digest: Digest, tell: Tell) -> Image:
        _, manifest = await disk.in_thread(self._base_of, digest)
        if manifest is None or not isinstance(manifest.source, Distributed):
            raise NotFound(f"{digest} stands on no base of a recipe", next="bleen image list")
        source = manifest.source
        order = BaseOrder(source.recipe, source.folder, upgrade=True)
        async with self._building(order) as work:
            lock = await self.lock(order, tell, before=source.lock)
            return manifest.image if lock == source.lock else await self._run(order, lock, work, tell)

    @asynccontextmanager
    async def _building(self, order: BaseOrder) -> AsyncIterator[Workspace]:
        """Lend a workspace to the one that builds this recipe now."""
        request = digest_of({"base": order.recipe, "in": order.folder})
        with disk.room_on(self._store.root):
            await disk.in_thread(self._store.sweep)
            async with disk.waiting_for(self._store.builder_lock(request)), self._store.workspace() as work:
                yield work

    async def _run(self, order: BaseOrder, lock: Lock, work: Workspace, tell: Tell) -> Image:
        if order.recipe.builder is Maker.FULL:
            raise BuildFailed(f"{order.recipe.image} is built stage by stage", next=f"bleen image build {order.recipe.image}")
        build = _Build(self._store, order, lock, self.reach, work, self.tools.shell(work), tell)
        return (await build.run()).image

    async def packages(self, digest: Digest) -> Sequence[Locked]:
        _, manifest = await disk.in_thread(self._base_of, digest)
        return manifest.source.lock.packages if manifest and isinstance(manifest.source, Distributed) else ()

    async def patching(self, digest: Digest) -> Patching:
        base, manifest = await disk.in_thread(self._base_of, digest)
        if manifest is None or not isinstance(manifest.source, Distributed):
            return Patching(base=HOST)
        source = manifest.source
        patched = max(suite.date for suite in source.lock.suites)
        try:
            checked, fixes = await self._security.find_fixes(source, self._clock())
        except BleenError as error:
            return Patching(base=base, patched=patched, trouble=error.what)
        return Patching(base=base, patched=patched, checked=checked, fixes=fixes)

    def _base_of(self, digest: Digest) -> tuple[str, Manifest | None]:
        """Return what the image stands on, or itself where it is a base; None where that is the machine."""
        manifest = self._candidates.described(digest)
        if manifest.content.base == SCRATCH:
            return digest, manifest
        return manifest.content.base, None if manifest.content.base == HOST else self._store.manifest(manifest.content.base)

    async def _get(self, client: MirrorClient, address: str, locked: Locked) -> bytes:
        return await get_package(self._store, client, address, locked)

    async def lock(self, order: BaseOrder, tell: Tell, before: Lock | None = None) -> Lock:
        """Return the lock to build by; ``before`` itself, which is that of an image, where nothing is newer."""
        path = Path(order.folder, order.lock_name)
        if not order.upgrade and await disk.in_thread(path.is_file):
            return await disk.in_thread(read_lock, path, order)
        began = time.perf_counter()
        lock = await make_lock(order.recipe, Path(order.folder), self.reach, self._clock())
        if before is not None and before.packages == lock.packages:
            tell(Stage("lock", "nothing is newer", time.perf_counter() - began, cached=True))
            return before
        if before is None or await disk.in_thread(_is_lock_of, path, order):
            await disk.in_thread(_write_lock, path, msgspec.json.format(encode(lock), indent=1) + b"\n")
        signed = ", ".join(f"{suite.name} of {suite.date:%d %b %H:%M}" for suite in lock.suites)
        tell(Stage("lock", f"{len(lock.packages)} packages; signed: {signed}", time.perf_counter() - began))
        return lock


def _is_lock_of(path: Path, order: BaseOrder) -> bool:
    """Return whether the lock there is one of this recipe: one of a recipe that was changed since is left alone."""
    try:
        read_lock(path, order)
    except (InvalidInput, OSError):
        return False
    return True


def read_lock(path: Path, order: BaseOrder) -> Lock:
    """Return the lock; InvalidInput where it is none, or was made for another recipe."""
    again = f"make it again: bleen image build {order.recipe.image} --upgrade"
    try:
        lock: Lock = decode(path.read_bytes(), Lock)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{path.name} is no lock", why=str(error), next=again, where=str(path)) from error
    if lock.asks != order.recipe.asks:
        why = "its packages, suite, patches, components, builder or boot were changed since"
        raise InvalidInput(f"{path.name} was made for another recipe", why=why, next=again, where=str(path))
    return lock


async def get_package(store: Store, client: MirrorClient, address: str, locked: Locked) -> bytes:
    """Return the package, from the store or from its archive, its digest checked in both. What is fetched is kept."""
    data = await disk.in_thread(store.cached_package, locked.digest)
    if data is None:
        data = await client.get_checked(f"{address}/{locked.path}", locked.digest, locked.size)
        await disk.in_thread(store.keep_package, locked.digest, data)
    return data


async def get_locked(store: Store, client: MirrorClient, address: str, locked: Locked, image: str) -> bytes:
    """Return a package of the lock of ``image``; BuildFailed where its archive has it no more."""
    try:
        return await get_package(store, client, address, locked)
    except NotFound as error:
        raise BuildFailed(
            f"{locked.name} {locked.version} is not at the mirror any more",
            why="the lock is older than what the mirror keeps",
            next=f"bleen image build {image} --upgrade makes the lock anew",
        ) from error


def _write_lock(path: Path, text: bytes) -> None:
    try:
        disk.write_whole(path, text)
    except PermissionError as error:
        raise BuildFailed(
            f"the lock {path} cannot be written",
            why=str(error),
            next="make the folder of the recipe writable: its lock belongs there",
        ) from error


def inputs_of(recipe: Recipe, lock: Lock) -> Digest:
    """Return the hash of everything that decides what the base of a recipe is."""
    return digest_of({"packages": lock.packages, "recipe": [recipe.exclude, recipe.hardening], "builder": BUILDER})


def attributed(store: Store, manifest: Manifest, source: Distributed) -> Manifest:
    """Return it with the recipe and folder of this build: another recipe of that name may have come to the same files."""
    if manifest.source == source or manifest.name != source.recipe.image:
        return manifest
    return store.attribute(manifest.image.digest, source)


@dataclass
class _Build:
    """One build of a base, stage by stage. What a killed one fetched, the next one finds."""

    store: Store
    order: BaseOrder
    lock: Lock
    reach: Reach
    work: Workspace
    shell: Shell
    tell: Tell
    _began: float = field(default_factory=time.perf_counter)

    @property
    def recipe(self) -> Recipe:
        return self.order.recipe

    async def run(self) -> Manifest:
        """Return the base: recalled where its inputs are those of an earlier build, else made."""
        key = inputs_of(self.recipe, self.lock)
        known = await disk.in_thread(self.store.recall, key)
        if known is not None:
            self._said("base", f"{len(self.lock.packages)} packages, as they were built before", cached=True)
            return await self._attributed(known)
        packages = await self._fetch()
        tree = await disk.in_thread(self._assemble, packages)
        runtime = runtime_of(tree, self.lock.packages)
        await disk.in_thread(tree.write, self.work.stage)
        await self._compile(runtime)
        return await self._attributed(await self._publish(runtime, key))

    @property
    def _source(self) -> Distributed:
        return Distributed(self.recipe, self.lock, self.order.folder)

    async def _attributed(self, manifest: Manifest) -> Manifest:
        return await disk.in_thread(attributed, self.store, manifest, self._source)

    async def _fetch(self) -> list[Package]:
        """Return every package, in order of name."""
        folder, apt = Path(self.order.folder), self.reach.apt
        archives = {suite: archive_of(suite, self.recipe.mirror, folder, apt) for suite in suites_of(self.recipe)}
        async with MirrorClient(self.reach.patience) as client:

            async def one(locked: Locked) -> Package:
                return await disk.in_thread(
                    open_package, await self._get(client, archives[locked.suite].address, locked), locked
                )

            packages = await all_of([one(locked) for locked in self.lock.packages])
            fetched = client.received
        whole = sum(package.locked.size for package in packages)
        self._said("fetch", f"{fetched / 1e6:.1f} MB of {whole / 1e6:.1f} MB; every digest is as signed")
        return packages

    async def _get(self, client: MirrorClient, address: str, locked: Locked) -> bytes:
        return await get_locked(self.store, client, address, locked, self.recipe.image)

    def _assemble(self, packages: Sequence[Package]) -> Tree:
        layers = by_suite(packages, suites_of(self.recipe))
        tree = unpack(packages, self.recipe)
        finish(tree, packages)
        self._said("base", f"{len(layers.get('base', ()))} packages of {self.recipe.suite}, {len(tree.members):,} files")
        patches = layers.get("patches", [])
        names = ", ".join(package.locked.name for package in patches[:4]) + (", ..." if len(patches) > 4 else "")
        self._said("patches", f"{len(patches)} packages of the security suite{names and f': {names}'}")
        self._said("hardening", harden(tree, self.recipe.hardening))
        describe(tree, packages)
        return tree

    async def _compile(self, runtime: str) -> None:
        if not runtime.startswith("cpython-"):
            return
        target = target_of(self.work.stage, runtime, self.lock.architecture)
        count = await compile_modules(self.work.stage, self.shell, target)
        self._said("runtime", f"{runtime}, {count:,} modules compiled")

    async def _publish(self, runtime: str, key: Digest) -> Manifest:
        version = max(suite.date for suite in self.lock.suites).strftime("%Y%m%d")
        label = Label(self.recipe.image, version, self._source, key, base=SCRATCH)
        manifest = await disk.in_thread(self.store.publish, self.work.stage, runtime, label)
        self._said(
            "publish", f"{manifest.image.files:,} files, {manifest.image.size / 1e6:.1f} MB: {manifest.image.digest[:19]}"
        )
        return manifest

    def _said(self, name: str, detail: str, *, cached: bool = False) -> None:
        now = time.perf_counter()
        self.tell(Stage(name, detail, round(now - self._began, 3), cached))
        self._began = now


async def all_of(doing: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all became, in their order; the first failure ends the others, and is raised as it is."""
    started = [asyncio.ensure_future(one) for one in doing]
    try:
        return list(await asyncio.gather(*started))
    finally:
        for task in started:
            task.cancel()
        if started:
            await asyncio.wait(started)
