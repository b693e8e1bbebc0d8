"""The renewal workflow, one for each platform: looks, does the one next thing, and rests. It holds no policy.

Time is the time of looks, as in rollouts; only the pauses between them are the engine's.
"""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

from msgspec import structs
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bleen.domain.errors import BleenError
    from bleen.domain.ledger import Draft, RenewalStopped
    from bleen.domain.notice import Notice
    from bleen.domain.renewal import (
        Agenda,
        Asked,
        Hold,
        Move,
        Renew,
        RenewalStep,
        Rest,
        Stop,
        Timetable,
        closed,
        failure_notice,
        next_look,
        renewed,
        stop_notice,
    )
    from bleen.workflows.activities import Activities
    from bleen.workflows.converter import domain_error
    from bleen.workflows.messages import Looked, RenewalState
    from bleen.workflows.renewing import Renewing

T = TypeVar("T")
_FAILED = (FailureError, BleenError)
_PATIENCE = timedelta(seconds=30)
"""Before a look that failed is tried again."""
_PATIENT: Any = {
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5), maximum_attempts=5
    ),
}


@workflow.defn(name="Renewal")
class RenewalWorkflow:
    """Renews bases, and moves services onto them, one thing at a time, for ever. The id is the lock."""

    @workflow.init
    def __init__(self, given: Agenda) -> None:
        self._agenda = given
        self._asked: Asked | None = None
        self._step: RenewalStep | None = None
        self._at: datetime | None = None
        self._awake = False
        self._error = ""

    @workflow.run
    async def run(self, given: Agenda) -> None:
        """Look, act and rest, until it is terminated."""
        while True:
            self._awake = False
            self._agenda, self._asked = self._wanted, None
            await self._rest(await self._turn())
            if workflow.info().is_continue_as_new_suggested() and not self._awake:
                workflow.continue_as_new(self._agenda)

    @workflow.query
    def state(self) -> RenewalState:
        """Return what it does, and when it looks next."""
        return RenewalState(
            structs.replace(self._agenda, asked=self._asked or self._agenda.asked), self._step, self._at, self._error
        )

    @workflow.signal
    def ask(self, asked: Asked) -> None:
        """Renew bases now."""
        self._asked, self._awake = asked, True

    @workflow.signal
    def configure(self, timetable: Timetable) -> None:
        """Go by another timetable from now on."""
        if timetable != self._agenda.timetable:
            self._agenda = Agenda(timetable, asked=self._agenda.asked, trouble=self._agenda.trouble)
            self._awake = True

    @workflow.signal
    def look_again(self) -> None:
        """Look at the world now."""
        self._awake = True

    @property
    def _wanted(self) -> Agenda:
        """The agenda with what was asked since the last look began."""
        return structs.replace(self._agenda, asked=self._asked or self._agenda.asked)

    async def _turn(self) -> timedelta | None:
        """Look once, and do what it led to; return how long to rest after it, None where only a word ends the rest."""
        timetable = self._agenda.timetable
        looked = await self._attempt(workflow.execute_activity_method(Renewing.look, self._agenda, **_PATIENT))
        if looked is None:
            return _PATIENCE
        if self._agenda.timetable == timetable:  # else it was told another one meanwhile
            self._agenda = looked.agenda
        self._step, self._at = looked.step, looked.at
        return await self._act(looked)

    async def _act(self, looked: Looked) -> timedelta | None:
        match looked.step:
            case Renew():
                return await self._renew(looked.step, looked.at)
            case Move():
                moved = await self._attempt(workflow.execute_activity_method(Renewing.move, looked.step, **_PATIENT))
                if moved is not None and moved.refused:
                    served = looked.step.served
                    place = (served.environment, served.service, served.release)
                    await self._stop(Stop(*place, looked.step.renewal, moved.refused))
                return self._agenda.timetable.pause if moved is not None else _PATIENCE
            case Stop():
                await self._stop(looked.step)
                return timedelta(0)
            case Hold() | Rest():
                until = next_look(self._agenda, looked.step, looked.at)
                return max(until - looked.at, timedelta(0)) if until is not None else None
            case _:
                assert_never(looked.step)

    async def _renew(self, step: Renew, at: datetime) -> timedelta:
        renewal = await self._attempt(workflow.execute_activity_method(Renewing.renew, step, **_PATIENT))
        if renewal is not None:
            self._agenda = renewed(self._agenda, renewal)
            return timedelta(0)
        trouble = f"{step.base} {self._error}"
        if trouble != self._agenda.trouble:
            await self._tell(failure_notice(step, self._error.partition("\n")[0], step.why))
        # It is tried again when the suite is asked the next time, not before.
        self._agenda = closed(structs.replace(self._agenda, trouble=trouble), Rest(trouble), at)
        return self._agenda.timetable.pause

    async def _stop(self, stop: Stop) -> None:
        """Tell people, and enter it: nobody is told twice, and nothing is tried twice."""
        await self._tell(stop_notice(stop))
        key = f"renewal-stopped/{stop.environment}/{stop.service}/{stop.release}/{stop.renewal.after}"
        event = RenewalStopped(stop.renewal, stop.release, stop.why)
        drafts = (Draft(key, stop.environment, stop.service, event),)
        await self._attempt(workflow.execute_activity_method(Activities.record, drafts, **_PATIENT))

    async def _tell(self, notice: Notice) -> None:
        """Tell people; that it did not get through keeps nothing from going on."""
        await self._attempt(workflow.execute_activity_method(Activities.notify, notice, **_PATIENT))

    async def _attempt(self, doing: Awaitable[T]) -> T | None:
        """Return what it came to; None where the world refused, which is shown."""
        try:
            done = await doing
            self._error = ""
            return done
        except _FAILED as failure:
            if is_cancelled_exception(failure):
                raise
            self._error = str(domain_error(failure) or failure.__cause__ or failure)
            return None

    async def _rest(self, time: timedelta | None) -> None:
        """Return after ``time``, or as soon as somebody asks."""
        try:
            await workflow.wait_condition(lambda: self._awake, timeout=time)
        except TimeoutError:
            return
