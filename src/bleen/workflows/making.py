"""The stages of builds as activities. Every one ensures a state, because the engine may run it twice."""

from temporalio import activity

from bleen.domain.image import Image
from bleen.domain.pipeline import Carried, OfApplication, Plan
from bleen.workflows.messages import Begun, BuildRequest, GateOrder, Passed, PublishOrder, StageOrder
from bleen.workflows.pulse import pulse
from bleen.workflows.workshop import Workshop
from bleen.workflows.world import World


class Making:
    """The activities of the build and deploy workflows that make images."""

    def __init__(self, world: World) -> None:
        self._shop = Workshop(world)

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
            return await self._shop.scan(order)

    @activity.defn
    async def check_compliance(self, order: GateOrder) -> Passed:
        """Check the configuration of an image, or a candidate; ImageBlocked where the policy refuses it."""
        async with pulse():
            return await self._shop.comply(order)

    @activity.defn
    async def publish_image(self, order: PublishOrder) -> Image:
        """Make the candidate an image."""
        async with pulse():
            return await self._shop.publish(order)
