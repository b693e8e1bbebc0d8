"""What removals do to the world. Every activity ensures a state, because the engine may run it twice."""

from temporalio import activity

from bleen.domain.ledger import Draft, Query, ServiceRemoved
from bleen.domain.removal import Drain
from bleen.workflows.activities import all_of
from bleen.workflows.messages import RemovalRequest, WithdrawOrder
from bleen.workflows.pulse import pulse
from bleen.workflows.world import World


class Leaving:
    """The activities of the removal workflow."""

    def __init__(self, world: World) -> None:
        self._world = world

    @activity.defn
    async def withdraw(self, order: WithdrawOrder) -> None:
        """Take the route from every gateway; return when each one reports it."""
        async with pulse():
            await self._world.gateway.remove_route(order.environment, order.service, order.generation)

    @activity.defn
    async def drain(self, step: Drain) -> None:
        """End the fleets of ``step``, all at once; return when they are gone."""
        async with pulse():
            await all_of([self._world.fleets.retire(leaver.slot, leaver.release) for leaver in step.fleets])

    @activity.defn
    async def conclude(self, request: RemovalRequest) -> None:
        """Enter that the service is gone: once for whatever was rolled out last, however many removals found it gone."""
        environment, service = request.environment, request.service
        async with pulse():
            query = Query(service=service, environment=environment, kinds=("rollout-started",), newest=True, limit=1)
            last = next((entry.rollout for entry in await self._world.ledger.read(query)), f"{environment}/{service}")
            event = ServiceRemoved(request.reason, request.asked)
            await self._world.ledger.append(Draft(f"{last}/removed", environment, service, event, by=request.by))
