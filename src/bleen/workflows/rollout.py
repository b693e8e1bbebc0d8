"""The rollout workflow, ``rollout/<environment>/<service>``: observe, decide, record, act, and again. It holds no policy.

Time is the time of observations: whoever sees the world says when, and `decide` is asked about that moment, by the
watching activity and by the workflow alike.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

from msgspec import structs
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from bleen.domain.check import CheckResult
    from bleen.domain.command import Abort, Command, Rename, Scale, Supersede, accept
    from bleen.domain.comparison import comparison
    from bleen.domain.decide import advance, applied, decide, measured
    from bleen.domain.decision import AskHuman, Decision, Done, Launch, Measure, Promote, Retire, Rollback, Shift, Wait
    from bleen.domain.errors import BleenError, Conflict, NothingToDo, Permanent
    from bleen.domain.laws import check
    from bleen.domain.ledger import Checked, Commanded, Decided, Draft, Finished, Measured, Settled
    from bleen.domain.notice import Notice, notice, outcome_notice
    from bleen.domain.plan import check_turn, serving_now
    from bleen.domain.refusal import refuse
    from bleen.domain.removal import Removing, being_removed, refuse_under_way
    from bleen.domain.rollout import Observation, Promoted, Rollout
    from bleen.workflows.activities import Activities
    from bleen.workflows.converter import domain_error, to_failure_error
    from bleen.workflows.messages import (
        OVER,
        Act,
        Acted,
        Adjusted,
        Carried,
        Joined,
        Order,
        Progress,
        RemovalRequest,
        Renamed,
        Resized,
        RolloutInput,
        RolloutRequest,
        RolloutResult,
        Subject,
        Watched,
    )
    from bleen.workflows.outbox import Outbox

T = TypeVar("T")

ACTS_IN_ONE = "acts-in-one"
"""Names a change, for histories that began before it: an act enters its decision and looks afterwards (decision 0036)."""
OUTCOMES_TOLD = "outcomes-told"
"""Names a change, for histories that began before it: settled rollouts are told."""
FAILED = (FailureError, BleenError)
"""What an activity can end with. Anything else is a fault in here: it fails the workflow task, which
the engine tries again until the code is mended."""
PATIENCE = timedelta(seconds=10)
"""The longest pause before something that failed is tried again."""
_QUICK: Any = {
    "start_to_close_timeout": timedelta(seconds=15),
    "heartbeat_timeout": timedelta(seconds=3),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=50), maximum_interval=timedelta(milliseconds=500), maximum_attempts=4
    ),
}
"""For what ends within milliseconds, and is waited for whatever comes meanwhile. Not local activities: a query or a slow
database splits the task that they run in, and a command that comes then is replayed in another order (decision 0008)."""
_PLANNING: Any = {
    "start_to_close_timeout": timedelta(seconds=15),
    "heartbeat_timeout": timedelta(seconds=3),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=1), maximum_attempts=10
    ),
}
_LONG: Any = {
    "start_to_close_timeout": timedelta(hours=6),
    "heartbeat_timeout": timedelta(seconds=5),
    "cancellation_type": ActivityCancellationType.TRY_CANCEL,
}
_WATCH: Any = _LONG | {"heartbeat_timeout": timedelta(seconds=15)}
"""A watch that died with its worker costs nothing: whoever takes over has it look again."""
_FEW = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=3)
_FOREVER = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))


@workflow.defn(name="Rollout")
class RolloutWorkflow:
    """One rollout after another of one service in one environment; the id of the workflow is the lock."""

    @workflow.init
    def __init__(self, given: RolloutInput) -> None:
        carried = given.carried
        self._request = given.request
        self._rollout = carried.rollout if carried else None
        self._decision = carried.decision if carried else None
        self._waiting = carried.waiting if carried else None
        self._removal: RemovalRequest | None = None
        """What takes over: the removal of its service."""
        self._outbox = Outbox(carried.number, carried.outbox) if carried else Outbox()
        self._gate = carried.gate if carried else None
        self._seen: Observation | None = None
        self._latest: datetime | None = None
        self._refusal: BleenError | None = None
        self._interrupted = False
        self._watching = False
        self._closed = False
        self._error = ""
        self._failures = 0
        self._tellings: set[asyncio.Task[Any]] = set()
        """Notices that are being handed over: the rollout does not end before."""

    @workflow.run
    async def run(self, given: RolloutInput) -> RolloutResult:
        """Roll the release out, then the one that waits, if one does."""
        if not await self._begin():
            return await self._leave(RolloutResult("", None))
        while not self._closed:
            await self._attempt(self._turn)
            if workflow.info().is_continue_as_new_suggested():
                await self._renew()
        while self._outbox.pending:
            await self._attempt(self._flush)
        return await self._leave(RolloutResult(self._plan.id, self._plan.outcome))

    # ---- what people ask and tell ----

    @workflow.query
    def progress(self) -> Progress | None:
        """Return the live view; None before there is a plan."""
        return Progress(self._rollout, self._decision, self._error) if self._rollout else None

    @workflow.signal
    def look_again(self) -> None:
        """Look at the world now: whoever watched it may be dead. What is being done is left to end."""
        self._interrupted = self._interrupted or self._watching

    @workflow.update
    def command(self, command: Command) -> Rollout:
        """Return the rollout with ``command`` taken; refused with the domain's reason where it makes no sense."""
        self._take(command)
        return self._plan

    @command.validator
    def _may_command(self, command: Command) -> None:
        if isinstance(command, Supersede):
            raise NothingToDo("a rollout is superseded by a deployment", next="bleen deploy")
        if self._removal is not None:
            raise being_removed(self._giving_way(self._removal))
        if self._closed:
            raise ApplicationError("the rollout is over", type=OVER, non_retryable=True)
        if self._rollout is None:
            raise NothingToDo("there is no rollout that could take it", next=f"bleen status {self._request.service}")
        accept(self._rollout, command, self._now())

    @workflow.update
    def remove(self, request: RemovalRequest) -> Removing:
        """Give way to the removal of its service, fleets that it keeps warm included; Conflict where it is under way."""
        if self._removal is None:
            self._removal = structs.replace(request, asked=workflow.now())
            self._closed = self._interrupted = True
            self._outbox.add(self._plan.id, Finished())
        return self._giving_way(self._removal)

    @remove.validator
    def _may_remove(self, request: RemovalRequest) -> None:
        if self._removal is not None:
            return
        if self._closed:
            raise ApplicationError("the rollout is over", type=OVER, non_retryable=True)
        if self._rollout is None:
            what = f"{request.service} is not removed: a rollout of it is about to begin"
            raise Conflict(what, next=f"bleen status {request.service} --watch")
        refuse_under_way(self._rollout)

    @staticmethod
    def _giving_way(removal: RemovalRequest) -> Removing:
        since = removal.asked or workflow.now()
        return Removing(removal.environment, removal.service, removal.by, removal.reason, since)

    @workflow.update
    async def join(self, request: RolloutRequest) -> Joined:
        """Return the rollout that carries ``request`` out; none where it waits for this one to end.

        NothingToDo where its release serves already; Conflict where this or the one that waits was asked for after it.
        The last one that waits wins.
        """
        if self._removal is not None:
            raise to_failure_error(being_removed(self._giving_way(self._removal)))
        if request.token == self._request.token or self._carries(request):
            await workflow.wait_condition(lambda: self._rollout is not None or self._refusal is not None)
            if self._refusal is not None:
                raise to_failure_error(self._refusal)
            return Joined(self._plan.id)
        if self._serves(request):
            return self._kept(request)
        self._check_turn(request)
        self._waiting = request
        if self._rollout is not None and not self._closed:
            self._take(Supersede(request.by, request.release))
        return Joined()

    def _check_turn(self, request: RolloutRequest) -> None:
        newer = self._waiting or self._request
        try:
            check_turn(request.service, request.release, request.asked, newer.release, newer.asked)
        except BleenError as error:
            raise to_failure_error(error) from None

    def _means(self, request: RolloutRequest) -> bool:
        """Return whether this rollout goes to the release of ``request``, and no other one waits behind it."""
        rollout = self._rollout
        if rollout is None or rollout.retreat is not None or self._waiting is not None:
            return False
        return rollout.target.number == request.release

    def _carries(self, request: RolloutRequest) -> bool:
        """Return whether this rollout is what ``request`` asks for; it takes over another size."""
        rollout = self._rollout
        if rollout is None or self._closed or rollout.outcome is not None or not self._means(request):
            return False
        self._adjust(request)
        return True

    def _serves(self, request: RolloutRequest) -> bool:
        """Return whether the release of ``request`` was promoted by this rollout, which only cleans up."""
        return self._rollout is not None and isinstance(self._rollout.outcome, Promoted) and self._means(request)

    def _kept(self, request: RolloutRequest) -> Joined:
        """Take over what ``request`` says beside its release; NothingToDo where it says nothing new, or it is too late."""
        before = self._plan
        if self._closed or (before.size, before.hosts, before.strategy) == (request.size, request.hosts, request.strategy):
            raise to_failure_error(NothingToDo(f"{before.target.name} serves {request.service} already"))
        self._adjust(request)
        resized = Resized(request.release, before.size, request.size) if before.size != request.size else None
        renamed = Renamed(before.hosts, request.hosts) if before.hosts != request.hosts else None
        return Joined(before.id, resized, Adjusted(renamed, before.strategy != request.strategy))

    def _adjust(self, request: RolloutRequest) -> None:
        if self._plan.size != request.size:
            self._take(Scale(request.by, request.size))
        if self._plan.hosts != request.hosts:
            self._take(Rename(request.by, request.hosts))

    def _take(self, command: Command) -> None:
        self._rollout = accept(self._plan, command, self._now())
        self._outbox.add(self._plan.id, Commanded(command), by=command.by)
        self._interrupted = True

    # ---- the loop ----

    async def _begin(self) -> bool:
        """Return whether there is a plan. A request that had waited has nobody to hear a refusal: it stays patient."""
        while self._rollout is None:
            try:
                self._rollout = await workflow.execute_activity_method(Activities.plan_rollout, self._request, **_PLANNING)
            except FAILED as failure:
                if is_cancelled_exception(failure):
                    raise
                error = _told(failure)
                if workflow.info().continued_run_id is None or isinstance(error, Permanent | Conflict):
                    self._refusal = error
                    return False
                await workflow.sleep(PATIENCE)
        if self._waiting is not None:
            self._take(Supersede(self._waiting.by, self._waiting.release))
        return True

    async def _turn(self) -> None:
        """Observe, decide, record, act: once."""
        self._interrupted = self._watching = False
        seen, self._seen = self._seen or await self._observe(), None
        self._interrupted, self._latest = False, seen.at
        self._update(advance(self._plan, seen, seen.at), seen)
        decision = decide(self._plan, seen, seen.at)
        check(self._plan, seen, decision)
        if isinstance(decision, Shift | Launch | Retire) and workflow.patched(ACTS_IN_ONE):
            generation = 0  # the act enters it, and knows
        else:
            generation = await self._record(decision, seen)
            if self._interrupted:
                return
        try:
            await self._act(decision, generation, seen)
        except FAILED as failure:
            self._refuse(decision, failure, seen)
            raise

    async def _act(self, decision: Decision, generation: int, seen: Observation) -> None:
        """Do what was decided; ``generation`` 0: the act itself enters it."""
        order = Order(self._plan, decision, generation, self._gate)
        match decision:
            case Wait() | AskHuman():
                self._error, self._failures = "", 0
                self._watching = True
                watched = await self._unless_interrupted(
                    workflow.start_activity_method(Activities.watch, order, retry_policy=_FOREVER, **_WATCH)
                )
                if watched is not None:
                    self._learn(watched)
            case Shift() | Launch() | Retire() if not generation:
                await self._carry_out(decision, seen)
            case Shift():
                done = await workflow.execute_activity_method(Activities.shift, order, **_QUICK)
                self._update(applied(self._plan, decision, done), seen)
            case Launch() | Retire():
                ended = await self._unless_interrupted(
                    workflow.start_activity_method(Activities.carry_out, order, retry_policy=_FEW, **_LONG)
                )
                self._update(applied(self._plan, decision, ended or self._now()), seen)
            case Measure():
                results = await self._checked(order)
                if results is not None:
                    self._update(measured(self._plan, results), seen)
                    self._outbox.add(self._plan.id, Checked(results))
                    self._seen = None
            case Promote() | Rollback():
                self._update(applied(self._plan, decision, seen.at), seen)
                if workflow.patched(ACTS_IN_ONE):
                    self._seen = seen  # nothing was changed that could be seen
            case Done():
                self._closed = True
                self._outbox.add(self._plan.id, Finished())
            case _:
                assert_never(decision)

    async def _carry_out(self, decision: Shift | Launch | Retire, seen: Observation) -> None:
        """Have it entered, carried out and looked at, in this order and in one activity.

        What could not be entered is not carried out, and forgotten: it may be another decision next time.
        """
        kept, draft = self._outbox.pending, self._outbox.draft(self._plan.id, Decided(decision, seen))
        self._decision = decision
        act = Act(Order(self._plan, decision), (*kept, draft))
        if isinstance(decision, Shift):
            done: Acted | None = await workflow.execute_activity_method(Activities.act, act, **_QUICK)
        else:
            done = await self._unless_interrupted(
                workflow.start_activity_method(Activities.act, act, retry_policy=_FEW, **_LONG)
            )
        self._outbox.entered(len(kept) if done else 0)
        self._update(applied(self._plan, decision, done.at if done else self._now()), seen)
        self._seen = done.seen if done else None

    async def _checked(self, order: Order) -> tuple[CheckResult, ...] | None:
        """Return the results of the checks; None where a command, or the traffic, comes first."""
        checking = workflow.start_activity_method(Activities.run_checks, order, retry_policy=_FEW, **_LONG)
        if comparison(self._plan) is None:
            return await self._unless_interrupted(checking)
        watching = asyncio.create_task(self._watch_beside(order))
        watching.add_done_callback(_forget)
        try:
            return await self._unless_interrupted(checking)
        finally:
            watching.cancel()

    async def _watch_beside(self, order: Order) -> None:
        """Watch the traffic while something else is done, and interrupt that when the traffic says no."""
        while True:
            order = structs.replace(order, gate=self._gate)
            watched = await workflow.execute_activity_method(Activities.watch, order, retry_policy=_FOREVER, **_WATCH)
            self._learn(watched)
            if decide(advance(self._plan, watched.seen, watched.seen.at), watched.seen, watched.seen.at) != order.decision:
                self._interrupted = True
                return

    def _learn(self, watched: Watched) -> None:
        """Take what a watch saw; what it measured goes to the ledger."""
        self._seen, self._gate = watched.seen, watched.gate or self._gate
        if watched.assessment is not None and watched.assessment.requests:
            self._outbox.add(self._plan.id, Measured(watched.assessment))

    async def _observe(self) -> Observation:
        subject = Subject(self._request.environment, self._request.service)
        return await workflow.execute_activity_method(Activities.observe, subject, **_QUICK)

    async def _record(self, decision: Decision, seen: Observation) -> int:
        """Return the ledger's sequence of ``decision`` (law 7). Waiting on for the same is no new decision.

        A decision that could not be entered is forgotten: it was not carried out, and may be another one next time.
        """
        if decision == self._decision and isinstance(decision, Wait | AskHuman):
            return await self._flush()
        sequence = await self._flush(self._outbox.draft(self._plan.id, Decided(decision, seen)))
        self._decision = decision
        self._tell(decision)
        return sequence

    def _tell(self, decision: Decision) -> None:
        """Tell people what they should hear of. The rollout does not wait for them to be told."""
        told = notice(self._plan, decision)
        if told is not None:
            self._herald(told)

    def _herald(self, told: Notice) -> None:
        telling = workflow.start_activity_method(Activities.notify, told, retry_policy=_FEW, **_LONG)
        self._tellings.add(telling)
        telling.add_done_callback(self._tellings.discard)
        telling.add_done_callback(_forget)

    async def _flush(self, *more: Draft) -> int:
        kept = self._outbox.pending
        if not kept + more:
            return 0
        sequence: int = await workflow.execute_activity_method(Activities.record, kept + more, **_QUICK)
        self._outbox.entered(len(kept))
        return sequence

    def _update(self, rollout: Rollout, seen: Observation) -> None:
        """Take ``rollout`` as it is now; an outcome goes to the ledger the moment that it is observed."""
        settled = rollout.outcome is not None and rollout.outcome != self._plan.outcome
        self._rollout = rollout
        if settled and rollout.outcome is not None:
            serving = serving_now(seen)
            self._outbox.add(rollout.id, Settled(rollout.outcome, serving[1] if serving else None))
            if workflow.patched(OUTCOMES_TOLD):
                self._herald(outcome_notice(rollout, rollout.outcome))

    # ---- what can come between ----

    async def _unless_interrupted(self, doing: workflow.ActivityHandle[T]) -> T | None:
        """Return its result; None, with it cancelled, where a command comes first."""
        try:
            await workflow.wait_condition(lambda: self._interrupted or doing.done())
        finally:
            if not doing.done():
                doing.add_done_callback(_forget)
                doing.cancel()
        return await doing if doing.done() else None

    async def _attempt(self, doing: Callable[[], Awaitable[object]]) -> None:
        """Do it; what the world refuses is shown and tried again, and a cancellation aborts in order."""
        try:
            await doing()
            self._error, self._failures = "", 0
        except (*FAILED, asyncio.CancelledError) as failure:
            if is_cancelled_exception(failure):
                self._give_up()
                return
            self._error = str(_told(failure))
            self._failures += 1
            await self._pause()

    async def _pause(self) -> None:
        delay = min(PATIENCE, timedelta(milliseconds=100) * 2 ** min(self._failures, 10))
        try:
            await workflow.wait_condition(lambda: self._interrupted, timeout=delay)
        except TimeoutError:
            return
        except asyncio.CancelledError:
            self._give_up()

    def _refuse(self, decision: Decision, failure: BaseException, seen: Observation) -> None:
        """Go back where trying again cannot help."""
        rollback = refuse(self._plan, decision, _told(failure))
        if rollback is not None:
            self._outbox.add(self._plan.id, Decided(rollback, seen))
            self._update(applied(self._plan, rollback, seen.at), seen)

    def _give_up(self) -> None:
        """Compensate a cancellation of the workflow as an abort does; what is settled stays so."""
        with suppress(NothingToDo):
            self._take(Abort("cancellation"))

    async def _leave(self, result: RolloutResult) -> RolloutResult:
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self._tellings)
        if self._removal is not None:
            workflow.continue_as_new(workflow="Removal", args=[self._removal])
        if self._waiting is not None:
            workflow.continue_as_new(RolloutInput(self._waiting))
        return result

    async def _renew(self) -> None:
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self._tellings)
        if self._removal is not None:
            return
        outbox = self._outbox
        carried = Carried(self._plan, self._decision, outbox.number, self._waiting, outbox.pending, self._gate)
        workflow.continue_as_new(RolloutInput(self._request, carried))

    @property
    def _plan(self) -> Rollout:
        assert self._rollout is not None
        return self._rollout

    def _now(self) -> datetime:
        """Return the engine's time, or that of the last observation where it is ahead."""
        return max(workflow.now(), self._latest or workflow.now())


def _told(failure: BaseException) -> BleenError:
    """Return what went wrong as an error of the domain, also where it is a fault of a provider."""
    return domain_error(failure) or BleenError("an activity failed", why=str(failure.__cause__ or failure))


def _forget(doing: asyncio.Task[Any]) -> None:
    """Take the result that nobody waits for any more."""
    if not doing.cancelled():
        doing.exception()
