"""Telling: the activities that bring a notice to its channels."""

from temporalio import activity

from bleen.domain.notice import Notice
from bleen.workflows.messages import Delivery
from bleen.workflows.pulse import pulse
from bleen.workflows.world import World


class Telling:
    """The activities of the workflow `Notify`."""

    def __init__(self, world: World) -> None:
        self._world = world

    @activity.defn
    async def address(self, notice: Notice) -> tuple[str, ...]:
        """Return the channels that are to hear of ``notice``."""
        async with pulse():
            return tuple(await self._world.notices.channels(notice))

    @activity.defn
    async def deliver(self, delivery: Delivery) -> None:
        """Bring it to one channel. It may come twice: its id is the same."""
        async with pulse():
            await self._world.notices.tell(delivery.dispatch, delivery.channel)
