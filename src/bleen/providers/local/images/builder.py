"""`LocalBuilder`: builds images on this machine, stage by stage; a stage that was cut off is carried out again, no other."""

import time
from pathlib import Path
from typing import assert_never

from msgspec import structs

from bleen.domain.base import HOST, SCRATCH, BaseOrder, Distributed, Lock, Maker, Stage, odds
from bleen.domain.codec import digest_of
from bleen.domain.errors import BuildFailed, ImageRejected, InvalidInput, NotFound
from bleen.domain.image import Digest, Image
from bleen.domain.pipeline import Carried, Making, OfApplication, OfBase, OfMove, OfRenewal, Plan
from bleen.providers.local.images import disk
from bleen.providers.local.images.bases import LocalBases, attributed, inputs_of
from bleen.providers.local.images.candidates import Candidates, Planned
from bleen.providers.local.images.chroot import refuse_without_tools, search_of
from bleen.providers.local.images.embedded import Embedded
from bleen.providers.local.images.full import Full, full_inputs
from bleen.providers.local.images.provider import LocalImages, check_runtime
from bleen.providers.local.images.steps import ApplicationSteps, MoveSteps, Spoiled, Steps, gathered
from bleen.providers.local.images.store import Label, Manifest
from bleen.providers.qemu.machine import refuse_without_qemu

_AGAIN = 3
"""How often a stage sends for an earlier one that is gone: more than once only where the disk loses what it was given."""


class LocalBuilder:
    """Keeps the port `Builder` over the images and bases of one home; shows scanners candidates as if they were images."""

    def __init__(self, images: LocalImages, bases: LocalBases) -> None:
        self._images = images
        self._bases = bases
        self._store = images.store
        self._candidates = Candidates(self._store)

    async def find(self, digest: Digest) -> Image:
        return (await disk.in_thread(self._candidates.described, digest)).image

    async def published(self, key: Digest) -> Image:
        """Return the image that was made of a plan, or of another with the same inputs; NotFound."""
        planned = await disk.in_thread(self._candidates.plan, key)
        manifest = await disk.in_thread(self._store.recall, planned.key)
        if manifest is None:
            raise NotFound(f"no image of {planned.label.name} was made of these inputs", next="build it again")
        return await disk.in_thread(self._named, manifest, planned)

    def tree(self, digest: Digest) -> Path:
        """Return the folder of the image, or of the candidate; NotFound."""
        try:
            return self._store.tree(digest)
        except NotFound:
            return self._candidates.draft(digest)[0]

    def rules(self, digest: Digest) -> Path | None:
        """Return where what a benchmark said of the image, or of the candidate, lies or should; None where none was asked."""
        return self._candidates.rules(digest)

    # ---- planning ----

    async def begin(self, making: Making) -> Plan:
        with disk.room_on(self._store.root):
            await disk.in_thread(self._store.sweep)
            await disk.in_thread(self._candidates.sweep)
            match making:
                case OfBase(order):
                    return await self._begin_base(order)
                case OfRenewal(digest):
                    return await self._begin_renewal(await disk.in_thread(self._base, digest))
                case OfApplication():
                    return await self._begin_application(making)
                case OfMove():
                    return await self._begin_move(making)
                case _:
                    assert_never(making)

    async def _begin_base(self, order: BaseOrder) -> Plan:
        for odd in odds(order.recipe):
            raise InvalidInput(f"{order.recipe.image}: {odd.what}", why=odd.why, next=f"write {odd.instead}")
        lock, told = await self._locked(order)
        return await self._planned_base(order, lock, told)

    async def _begin_renewal(self, before: Manifest) -> Plan:
        source = _source(before)
        order = BaseOrder(source.recipe, source.folder, upgrade=True)
        lock, told = await self._locked(order, source.lock)
        if lock == source.lock:
            return Plan(before.lock, before.name, image=before.image, told=told)
        return await self._planned_base(order, lock, told)

    async def _locked(self, order: BaseOrder, before: Lock | None = None) -> tuple[Lock, tuple[Stage, ...]]:
        told: list[Stage] = []
        async with disk.waiting_for(self._store.builder_lock(digest_of({"base": order.recipe, "in": order.folder}))):
            lock = await self._bases.lock(order, told.append, before=before)
        return lock, tuple(told)

    async def _planned_base(self, order: BaseOrder, lock: Lock, told: tuple[Stage, ...]) -> Plan:
        full = order.recipe.builder is Maker.FULL
        tools = self._bases.tools
        key = await disk.in_thread(full_inputs, order.recipe, lock, tools) if full else inputs_of(order.recipe, lock)
        source = Distributed(order.recipe, lock, order.folder)
        version = max(suite.date for suite in lock.suites).strftime("%Y%m%d")
        plan = await self._planned(Planned(OfBase(order), key, Label(order.recipe.image, version, source, key, SCRATCH)))
        if full and plan.image is None:
            refuse_without_tools(tools)
            if order.recipe.boot:
                refuse_without_qemu(search_of(tools))
        again = Stage("base", f"{len(lock.packages)} packages, as they were built before", cached=True)
        return structs.replace(plan, told=(*told, again) if plan.image else told)

    def _base(self, digest: Digest) -> Manifest:
        manifest = self._store.manifest(digest)
        base = manifest.content.base
        manifest = self._store.manifest(base) if base.startswith("sha256:") else manifest
        if not isinstance(manifest.source, Distributed):
            raise NotFound(f"{digest} stands on no base of a recipe", next="bleen image list")
        return manifest

    async def _begin_application(self, making: OfApplication) -> Plan:
        recipe = self._images.recipe(making.source, Path(making.folder))
        async with disk.waiting_for(self._store.builder_lock(recipe.request)), self._store.workspace() as work:
            lock = await recipe.gather(work.stage, await self._images.shell(work, making.base))
            version = making.source.version or lock.removeprefix("sha256:")[:12]
            key = lock if making.base == HOST else digest_of({"application": lock, "on": making.base})
            plan = await self._planned(Planned(making, key, Label(making.name, version, making.source, key, making.base)))
            if plan.image is None:
                await disk.in_thread(self._candidates.keep, work.path, gathered(key))
        return plan

    async def _begin_move(self, making: OfMove) -> Plan:
        # What nobody vouches for is not vouched for again under another digest.
        await self._images.verify(making.digest)
        before = await disk.in_thread(self._store.manifest, making.digest)
        if not before.content.base.startswith("sha256:"):
            raise BuildFailed(f"{before.name} cannot be put on another base", why="it stands on none", next="bleen image show")
        check_runtime(before.name, before.content.runtime, await self._images.find(making.base))
        key = digest_of({"application of": making.digest, "on": making.base})
        return await self._planned(Planned(making, key, Label(before.name, before.version, before.source, key, making.base)))

    async def _planned(self, planned: Planned) -> Plan:
        """Return the plan: the image where one was built from the same inputs."""
        key = await disk.in_thread(self._candidates.keep_plan, planned)
        known = await disk.in_thread(self._store.recall, planned.key)
        if known is not None:
            return Plan(key, planned.label.name, image=await disk.in_thread(self._named, known, planned))
        return Plan(key, planned.label.name, self._steps(planned).names)

    def _named(self, manifest: Manifest, planned: Planned) -> Image:
        """Return the image under the name that was asked for: equal content is one image."""
        label = planned.label
        if isinstance(label.source, Distributed):
            return attributed(self._store, manifest, label.source).image
        return structs.replace(manifest.image, name=label.name, version=label.version)

    # ---- carrying out ----

    async def carry_out(self, key: Digest, stage: str) -> Carried:
        began = time.perf_counter()
        with disk.room_on(self._store.root):
            planned = await disk.in_thread(self._candidates.plan, key)
            steps = self._steps(planned)
            said = await self._ensure(steps, stage)
            last = stage == steps.names[-1]
            candidate = await disk.in_thread(self._candidates.image, steps.key(steps.whole)) if last else None
        words = said or "as it was made before, of the same inputs"
        return Carried(Stage(stage, words, round(time.perf_counter() - began, 3), cached=not said), candidate)

    async def _ensure(self, steps: Steps, stage: str) -> str:
        """Have the candidate of ``stage``, and return what that took, in words; empty where it was there."""
        for _ in range(_AGAIN):
            try:
                async with disk.waiting_for(self._store.builder_lock(steps.key(stage))):
                    if await steps.done(stage):
                        return ""
                    async with self._store.workspace() as work:
                        return await steps.carry_out(stage, work)
            except Spoiled as gone:
                earlier = str(gone)
                if earlier not in steps.names:
                    raise NotFound(f"{earlier} is not there any more", next="build it again") from gone
                await self._ensure(steps, earlier)
        raise BuildFailed(f"what was made for {stage} is lost again and again", next="check the disk of the home")

    def _steps(self, planned: Planned) -> Steps:
        making, source = planned.making, planned.label.source
        if isinstance(making, OfApplication):
            return ApplicationSteps(self._images, self._candidates, planned, making)
        if isinstance(making, OfMove):
            return MoveSteps(self._store, self._candidates, planned, making)
        assert isinstance(source, Distributed), "a base is made of a distribution's packages"
        build = Full if source.recipe.builder is Maker.FULL else Embedded
        return build(self._store, self._candidates, planned, source, self._bases.reach, self._bases.tools)

    # ---- publishing ----

    async def publish(self, key: Digest, digest: Digest) -> Image:
        with disk.room_on(self._store.root):
            planned = await disk.in_thread(self._candidates.plan, key)
            async with disk.waiting_for(self._store.builder_lock(digest_of({"publish": planned.key}))):
                known = await disk.in_thread(self._store.recall, planned.key)
                manifest = known or await self._publish(planned, digest)
        return await disk.in_thread(self._named, manifest, planned)

    async def _publish(self, planned: Planned, digest: Digest) -> Manifest:
        steps = self._steps(planned)
        async with self._store.workspace() as work:
            _, draft = await disk.in_thread(self._candidates.draft, digest)
            sound = await disk.in_thread(self._candidates.lend, digest, work.stage)
            if sound:
                await disk.in_thread(self._candidates.keep_rules, digest)
                manifest = await disk.in_thread(self._store.publish, work.stage, draft.content.runtime, planned.label)
            await disk.in_thread(self._candidates.drop, steps.key(steps.whole))
        if not sound:
            raise ImageRejected(
                f"the candidate of {planned.label.name} is not what was scanned any more",
                why="its files were changed after the scan",
                next=f"bleen image build {planned.label.name} makes it again",
            )
        return manifest


def _source(manifest: Manifest) -> Distributed:
    assert isinstance(manifest.source, Distributed)
    return manifest.source
