"""The stages of builds as activities. Every one ensures a state, because the engine may run it twice."""

from collections.abc import Awaitable, Callable

from temporalio import activity

from bleen.domain.errors import ImageBlocked
from bleen.domain.image import Image
from bleen.domain.notice import gate_notice
from bleen.domain.pipeline import Carried, OfApplication, Plan
from bleen.workflows.herald import Herald, occasion
from bleen.workflows.messages import Begun, BuildRequest, GateOrder, Passed, PublishOrder, StageOrder
from bleen.workflows.pulse import pulse
from bleen.workflows.workshop import Workshop
from bleen.workflows.world import World


class Making:
    """The activities of the build and deploy workflows that make images."""

    def __init__(self, world: World, herald: Herald) -> None:
        self._shop = Workshop(world)
        self._herald = herald

    @activity.defn(name="begin_build")
    async def begin(self, wanted: BuildRequest) -> Begun:
        """Pin the inputs of a build."""
        async with pulse():
            return await self._shop.begin(wanted)

    @activity.defn
    async def begin_application(self, making: OfApplication) -> Plan:
        """Pin the inputs of an application whose base is there now."""
        async with pulse():
            return await self._shop.begin_application(making)

    @activity.defn
    async def carry_out_stage(self, order: StageOrder) -> Carried:
        """Carry out one of the builder's stages."""
        async with pulse():
            return await self._shop.carry_out(order)

    @activity.defn
    async def scan_image(self, order: GateOrder) -> Passed:
        """Scan an image, or a candidate; ImageBlocked where the policy refuses it."""
        async with pulse():
            return await self._gated(self._shop.scan, order)

    @activity.defn
    async def check_compliance(self, order: GateOrder) -> Passed:
        """Check the configuration of an image, or a candidate; ImageBlocked where the policy refuses it."""
        async with pulse():
            return await self._gated(self._shop.comply, order)

    @activity.defn
    async def publish_image(self, order: PublishOrder) -> Image:
        """Make the candidate an image."""
        async with pulse():
            return await self._shop.publish(order)

    async def _gated(self, gate: Callable[[GateOrder], Awaitable[Passed]], order: GateOrder) -> Passed:
        """Pass it; people hear of a deployment that a gate refuses, and who only builds an image reads it there."""
        try:
            return await gate(order)
        except ImageBlocked as error:
            if order.service:
                await self._herald.tell(gate_notice(order.environment, order.service, error), occasion())
            raise
