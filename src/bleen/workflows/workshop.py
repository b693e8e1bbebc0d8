"""The stages of a build, done to the world at once: the other side of `Pipeline`. Everything may be asked for twice."""

import time

from bleen.domain.base import HOST, BaseOrder, Stage, WithoutMirror
from bleen.domain.codec import digest_of
from bleen.domain.errors import NotFound, Unreachable
from bleen.domain.finding import Finding, Scan, Severity
from bleen.domain.image import Image
from bleen.domain.ledger import Draft
from bleen.domain.listing import names, refuse_claimed, service_key
from bleen.domain.pipeline import COMPLIANCE, SCAN, Carried, OfApplication, OfBase, Plan, bounded
from bleen.domain.policy import Judgement, blocked, entry_of, judge
from bleen.workflows.building import HOST_BASED
from bleen.workflows.messages import Begun, BuildRequest, GateOrder, Passed, PublishOrder, StageOrder
from bleen.workflows.world import World


class Workshop:
    """Keeps `building.Shop`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def begin(self, wanted: BuildRequest) -> Begun:
        world = self._world
        if wanted.hosts:
            key = service_key(wanted.environment, wanted.name)
            refuse_claimed(key, names(wanted.hosts), await world.gateway.hosts())
        if wanted.image is not None:
            return Begun(application=Plan(wanted.image, wanted.name, image=await world.images.find(wanted.image)))
        base, told = await self._begin_base(wanted.base, alone=wanted.source is None) if wanted.base else (None, ())
        if wanted.source is None or (base is not None and base.image is None):
            return Begun(base, told=told)
        below = base.image.digest if base and base.image else HOST
        return Begun(base, await self.begin_application(OfApplication(wanted.name, wanted.source, wanted.folder, below)), told)

    async def _begin_base(self, order: BaseOrder, *, alone: bool) -> tuple[Plan | None, tuple[Stage, ...]]:
        """Return the plan of the base; none where no mirror answers and the recipe allows the machine, never otherwise."""
        try:
            return await self._world.builder.begin(OfBase(order)), ()
        except (Unreachable, NotFound) as error:
            if alone or order.recipe.without_mirror is not WithoutMirror.HOST:
                raise
            return None, (host_based(error),)

    async def begin_application(self, making: OfApplication) -> Plan:
        return await self._world.builder.begin(making)

    async def carry_out(self, order: StageOrder) -> Carried:
        try:
            return await self._world.builder.carry_out(order.key, order.stage)
        except Unreachable as error:
            if not order.host:
                raise
            return Carried(host_based(error), host=True)

    async def scan(self, order: GateOrder) -> Passed:
        began = time.perf_counter()
        scan = await self._world.scanner.scan(order.digest)
        judgement = self._judge(order, scan.findings)
        if not judgement.allowed:
            await self._refuse(order, judgement)
        return Passed(_told(SCAN, scan, judgement, began), bounded(scan.findings))

    async def comply(self, order: GateOrder) -> Passed:
        began = time.perf_counter()
        scan = await self._world.scanner.comply(order.digest)
        findings = tuple(dict.fromkeys((*order.findings, *scan.findings)))
        judgement = self._judge(order, findings)
        if not judgement.allowed:
            await self._refuse(order, judgement)
        await self._enter(order, judgement)
        return Passed(_told(COMPLIANCE, scan, self._judge(order, scan.findings), began), bounded(findings))

    async def publish(self, order: PublishOrder) -> Image:
        return await self._world.builder.publish(order.key, order.digest)

    def _judge(self, order: GateOrder, findings: tuple[Finding, ...]) -> Judgement:
        return judge(findings, order.policy, order.environment, self._world.clock().date())

    async def _refuse(self, order: GateOrder, judgement: Judgement) -> None:
        await self._enter(order, judgement)
        raise blocked(order.name, judgement, order.digest)

    async def _enter(self, order: GateOrder, judgement: Judgement) -> None:
        """Enter what the policy says; a gate of no deployment belongs to no service."""
        entry = entry_of(order.digest, judgement)
        key = f"gate/{order.environment}/{order.service}/{digest_of(entry)}"
        await self._world.ledger.append(Draft(key, order.environment, order.service, entry, by=order.by))


def host_based(error: Unreachable | NotFound) -> Stage:
    """Return what is said in the place of a base that cannot be had."""
    return Stage("base", f"host-based, because there is no mirror: {error.what}. {HOST_BASED}")


def _told(name: str, scan: Scan, judgement: Judgement, began: float) -> Stage:
    """Return the stage of a gate that was passed: what was looked at, what was found, and what nobody could look at."""
    found = [finding for finding in scan.findings if finding.severity is not Severity.NOT_CHECKED]
    unknown = len(scan.findings) - len(found)
    said = [f"{len(scan.checks)} checks", f"{len(found)} findings" if found else "nothing found"]
    said += [f"{len(judgement.waived)} waived"] if judgement.waived else []
    said += [f"{unknown} not checked"] if unknown else []
    return Stage(name, ", ".join(said), round(time.perf_counter() - began, 3))
