"""The workflow of one notice: to each channel by itself, with back-off, for a day. What could not be told is in the ledger."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bleen.domain.ledger import Draft, NoticeLost
    from bleen.domain.notice import Dispatch
    from bleen.workflows.activities import Activities
    from bleen.workflows.converter import domain_error
    from bleen.workflows.herald import WORKFLOW
    from bleen.workflows.messages import Delivery
    from bleen.workflows.telling import Telling

LONGEST = timedelta(hours=24)
"""How long a channel is tried: who hears of something later than that has heard of it elsewhere."""
_BACK_OFF = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5))
_DELIVERY: Any = {
    "start_to_close_timeout": timedelta(minutes=2),
    "heartbeat_timeout": timedelta(seconds=10),
    "schedule_to_close_timeout": LONGEST,
    "retry_policy": _BACK_OFF,
}


@workflow.defn(name=WORKFLOW)
class NotifyWorkflow:
    """Brings one notice to everybody who is to hear of it."""

    @workflow.run
    async def run(self, dispatch: Dispatch) -> None:
        """Return once each channel has it, or was given up."""
        channels = await workflow.execute_activity_method(Telling.address, dispatch.notice, **_DELIVERY)
        await asyncio.gather(*(self._tell(dispatch, channel) for channel in channels))

    async def _tell(self, dispatch: Dispatch, channel: str) -> None:
        try:
            await workflow.execute_activity_method(Telling.deliver, Delivery(dispatch, channel), **_DELIVERY)
        except FailureError as failure:
            if is_cancelled_exception(failure):
                raise
            told, error = dispatch.notice, domain_error(failure)
            event = NoticeLost(told.kind, channel, (error.why or error.what) if error else str(failure.__cause__ or failure))
            draft = Draft(f"{dispatch.id}/{channel}/lost", told.environment, told.service, event, rollout=told.rollout)
            await workflow.execute_activity_method(Activities.record, (draft,), **_DELIVERY)
