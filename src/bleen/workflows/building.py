"""The pipeline, stage after stage: the base first, then the application on it, each through the gates before it is published.

It decides nothing and does nothing itself: a `Shop` does, durably in a workflow, at once elsewhere.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

from msgspec import structs

from bleen.domain.base import HOST, Stage, WithoutMirror
from bleen.domain.image import Image
from bleen.domain.pipeline import COMPLIANCE, PUBLISH, SCAN, Building, Carried, OfApplication, Plan
from bleen.ports import Tell
from bleen.workflows.messages import Begun, BuildRequest, GateOrder, Passed, PublishOrder, StageOrder

T = TypeVar("T")
INPUTS = "inputs"
"""The name of what comes before the stages: locks are read or made, sources are gathered."""
HOST_BASED = "It runs on this machine's own interpreter and libraries, which nobody pinned, patched or hardened"
"""What an image without a base lacks, for whoever reads of it."""


class Shop(Protocol):
    """Does what the pipeline asks for. Every verb may be asked twice for the same thing."""

    async def begin(self, wanted: BuildRequest) -> Begun:
        """Pin the inputs of the base, and of the application where its base is there."""

    async def begin_application(self, making: OfApplication) -> Plan:
        """Pin the inputs of an application whose base is there now."""

    async def carry_out(self, order: StageOrder) -> Carried:
        """Carry out one of the builder's stages."""

    async def scan(self, order: GateOrder) -> Passed:
        """Scan it; ImageBlocked where the policy refuses it, and then the ledger says why."""

    async def comply(self, order: GateOrder) -> Passed:
        """Check its configuration; ImageBlocked as for `scan`. The judgement of all findings is in the ledger."""

    async def publish(self, order: PublishOrder) -> Image:
        """Make the candidate an image."""


def deaf(_: Stage) -> None:
    """Hear nothing."""


class Pipeline:
    """One build. ``now`` dates what is shown of it; ``view`` is what it does."""

    def __init__(self, shop: Shop, now: Callable[[], datetime], tell: Tell = deaf) -> None:
        self._shop = shop
        self._now = now
        self._tell = tell
        self.view = Building("", "")

    async def build(self, wanted: BuildRequest) -> Image:
        """Return the image, built and published only where it is not there yet. What is wrong is raised by the shop."""
        self.view = Building(wanted.name, wanted.environment, deploys=wanted.deploys)
        begun = await self._doing(INPUTS, self._shop.begin(wanted))
        for stage in begun.told:
            self._say(stage)
        base = await self._make(begun.base, wanted) if begun.base else None
        if wanted.source is None and wanted.image is None:
            assert isinstance(base, Image), "a build is of an application, of a base, or of both"
            return base
        plan = begun.application
        if plan is None:
            plan = await self._doing(INPUTS, self._shop.begin_application(_application(wanted, base)))
        image = await self._make(plan, wanted, application=True)
        assert image is not None, "only a base can be done without"
        return image

    async def _make(self, plan: Plan, wanted: BuildRequest, *, application: bool = False) -> Image | None:
        """Return the image of a plan; None where no mirror answers, and the machine itself takes the place of its base."""
        for told in plan.told:
            self._say(told)
        if plan.image is not None and application:
            self._say(Stage("application", image_words(plan.image), cached=True))
        digest = plan.image.digest if plan.image else ""
        host = not application and wanted.source is not None and _host_allowed(wanted)
        for stage in plan.stages:
            carried = await self._doing(stage, self._shop.carry_out(StageOrder(plan.key, stage, host)))
            self._say(carried.told)
            if carried.host:
                return None
            digest = carried.candidate or digest
        if plan.image is None or (application and wanted.deploys):
            await self._pass_gates(
                GateOrder(digest, plan.name, wanted.environment, wanted.policy, wanted.by), wanted, application
            )
        return plan.image or await self._publish(PublishOrder(plan.key, digest))

    async def _pass_gates(self, order: GateOrder, wanted: BuildRequest, application: bool) -> None:
        if application and wanted.deploys:
            order = structs.replace(order, service=wanted.name)
        for stage, gate in ((SCAN, self._shop.scan), (COMPLIANCE, self._shop.comply)):
            passed = await self._doing(stage, gate(order))
            self._say(passed.told)
            order = structs.replace(order, findings=passed.findings)

    async def _publish(self, order: PublishOrder) -> Image:
        began = self._now()
        image = await self._doing(PUBLISH, self._shop.publish(order))
        took = (self._now() - began).total_seconds()
        self._say(Stage(PUBLISH, f"{image.files:,} files, {image.size / 1e6:.1f} MB: {image.digest[:19]}", round(took, 3)))
        return image

    async def _doing(self, stage: str, what: Awaitable[T]) -> T:
        self.view = structs.replace(self.view, running=stage, since=self._now())
        try:
            return await what
        finally:
            self.view = structs.replace(self.view, running="", since=None)

    def _say(self, stage: Stage) -> None:
        self.view = structs.replace(self.view, ended=(*self.view.ended, stage))
        self._tell(stage)


def image_words(image: Image) -> str:
    """Return what an application's image is, for its stage."""
    return f"{image.name} {image.version}: {image.files:,} files, {image.size / 1e6:.1f} MB: {image.digest[:19]}"


def _application(wanted: BuildRequest, base: Image | None) -> OfApplication:
    assert wanted.source is not None
    return OfApplication(wanted.name, wanted.source, wanted.folder, base.digest if base else HOST)


def _host_allowed(wanted: BuildRequest) -> bool:
    return wanted.base is not None and wanted.base.recipe.without_mirror is WithoutMirror.HOST
