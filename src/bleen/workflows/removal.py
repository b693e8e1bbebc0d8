"""The removal workflow: takes a service out of an environment. It has the id of the service's rollouts, which is the lock.

Like a rollout it observes, decides, records, acts, and again; unlike one it has a single end, and nobody steers it.
"""

from datetime import timedelta
from typing import Any, assert_never

from msgspec import structs
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bleen.domain.codec import digest_of
    from bleen.domain.command import Command
    from bleen.domain.decision import Wait
    from bleen.domain.errors import BleenError, InvalidInput, StaleGeneration
    from bleen.domain.laws import check_removal
    from bleen.domain.ledger import Draft, RemovalDecided
    from bleen.domain.notice import removal_notice
    from bleen.domain.removal import Drain, Gone, RemovalStep, Removing, Withdraw, being_removed, next_step
    from bleen.domain.rollout import Observation, Rollout
    from bleen.workflows.activities import Activities
    from bleen.workflows.converter import domain_error, to_failure_error
    from bleen.workflows.leaving import Leaving
    from bleen.workflows.messages import Joined, Progress, RemovalRequest, RolloutRequest, Subject, WithdrawOrder

_QUICK: Any = {
    "start_to_close_timeout": timedelta(seconds=15),
    "heartbeat_timeout": timedelta(seconds=3),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=50), maximum_interval=timedelta(milliseconds=500), maximum_attempts=4
    ),
}
_LONG: Any = {
    "start_to_close_timeout": timedelta(hours=6),
    "heartbeat_timeout": timedelta(seconds=5),
    "retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3),
}
PATIENCE = timedelta(seconds=5)
"""The longest pause before it looks again."""


@workflow.defn(name="Removal")
class RemovalWorkflow:
    """One removal of one service from one environment."""

    @workflow.init
    def __init__(self, request: RemovalRequest) -> None:
        asked = request.asked or workflow.info().start_time
        self._request = structs.replace(request, asked=asked)
        self._view = Removing(request.environment, request.service, request.by, request.reason, asked)
        self._fence = 0
        """How often a newer route was there: each time takes a newer entry to be fenced by."""
        self._idle = 0
        """How often in a row it had nothing new to do."""
        self._refused = False

    @workflow.run
    async def run(self, request: RemovalRequest) -> None:
        """Return when nothing of the service is left, or a gateway cannot be without its route."""
        while not await self._attempt():
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._request)
        if not self._refused:
            await workflow.execute_activity_method(Activities.notify, removal_notice(self._view), **_LONG)
        await workflow.wait_condition(workflow.all_handlers_finished)

    # ---- what people ask and tell ----

    @workflow.query
    def removing(self) -> Removing | None:
        """Return how far it has come."""
        return self._view

    @workflow.query
    def progress(self) -> Progress | None:
        """Return None: it is no rollout."""
        return None

    @workflow.update
    def remove(self, request: RemovalRequest) -> Removing:
        """Return how far it has come: whoever asks for the same meanwhile is given the same."""
        return self._view

    @workflow.update
    def join(self, request: RolloutRequest) -> Joined:
        """Refuse a rollout: what it would roll out onto is going."""
        raise to_failure_error(being_removed(self._view))

    @workflow.update
    def command(self, command: Command) -> Rollout:
        """Refuse what is told to rollouts."""
        raise to_failure_error(being_removed(self._view))

    @command.validator
    def _may_command(self, command: Command) -> None:
        raise being_removed(self._view)

    # ---- the loop ----

    async def _attempt(self) -> bool:
        """Return whether nothing is left to do; what the world refuses is shown and tried again, unless it cannot be done."""
        try:
            return await self._turn()
        except (FailureError, BleenError) as failure:
            if is_cancelled_exception(failure):
                raise
            error = domain_error(failure) or BleenError("an activity failed", why=str(failure.__cause__ or failure))
            self._fence += isinstance(error, StaleGeneration)
            self._view = structs.replace(self._view, error=str(error))
            self._refused = isinstance(error, InvalidInput)
            if self._refused:
                return True
        await self._pause()
        return False

    async def _turn(self) -> bool:
        """Observe, decide, check the laws, record, act: once."""
        subject = Subject(self._request.environment, self._request.service)
        seen = await workflow.execute_activity_method(Activities.observe, subject, **_QUICK)
        step = next_step(seen)
        check_removal(seen, step)
        before, self._view = self._view, structs.replace(self._view, step=step, error="")
        await self._carry_out(step, seen)
        if isinstance(step, Gone):
            return True
        self._idle = self._idle + 1 if step == before.step else 0
        if self._idle or isinstance(step, Wait):
            await self._pause()
        return False

    async def _carry_out(self, step: RemovalStep, seen: Observation) -> None:
        match step:
            case Withdraw():
                order = WithdrawOrder(self._request.environment, self._request.service, await self._record(step, seen))
                await workflow.execute_activity_method(Leaving.withdraw, order, **_QUICK)
            case Drain():
                await self._record(step, seen)
                await workflow.execute_activity_method(Leaving.drain, step, **_LONG)
            case Gone():
                await workflow.execute_activity_method(Leaving.conclude, self._request, **_QUICK)
            case Wait():
                pass
            case _:
                assert_never(step)

    async def _record(self, step: RemovalStep, seen: Observation) -> int:
        """Return the ledger's sequence of ``step`` (law 7): of the same step, tried again, the same one."""
        request = self._request
        key = f"removal/{request.token}/{self._fence}/{digest_of(step).partition(':')[2][:12]}"
        event = RemovalDecided(step, request.reason, seen)
        draft = Draft(key, request.environment, request.service, event, by=request.by)
        return await workflow.execute_activity_method(Activities.record, (draft,), **_QUICK)

    async def _pause(self) -> None:
        await workflow.sleep(min(PATIENCE, timedelta(milliseconds=100) * 2 ** min(self._idle, 10)))
