"""What the API calls: the workflows of Bleen, in the domain's words."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from msgspec import structs
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from bleen.domain.codec import digest_of
from bleen.domain.command import Command, GoBack, Scale
from bleen.domain.errors import BleenError, NothingToDo, Unreachable
from bleen.domain.image import Image
from bleen.domain.notice import Notice
from bleen.domain.pipeline import Building
from bleen.domain.removal import Removing
from bleen.domain.renewal import Agenda, Asked, Timetable
from bleen.domain.rollout import Rollout
from bleen.domain.told import Told, retell
from bleen.ports import Tell
from bleen.workflows.build import BuildWorkflow
from bleen.workflows.converter import domain_error
from bleen.workflows.deploy import DeployWorkflow, RollbackWorkflow, ScaleWorkflow
from bleen.workflows.herald import Herald
from bleen.workflows.messages import (
    BuildRequest,
    BuildResult,
    DeployRequest,
    DeployResult,
    Progress,
    Refused,
    RemovalRequest,
    RenewalState,
    RollbackRequest,
    ScaleRequest,
    ScaleResult,
    Steered,
)
from bleen.workflows.removal import RemovalWorkflow
from bleen.workflows.renewal import RenewalWorkflow
from bleen.workflows.rollout import RolloutWorkflow
from bleen.workflows.starting import TASK_QUEUE, TASK_TIMEOUT, answer, has_ended, rollout_id
from bleen.workflows.world import utc_now

T = TypeVar("T")

_LOOK = 0.2
"""Seconds between two looks at a build."""
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
_PATIENCE = 5.0
"""Seconds for one look at a rollout: an engine that cannot write does not answer at all."""


class Control:
    """Starts, tells and asks rollouts. Unreachable where the engine does not answer."""

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE, trouble: Callable[[], str] = str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._trouble = trouble
        """Says what is wrong with the machine, if anything is: then a silent engine is silent for that."""

    async def deploy(self, request: DeployRequest) -> DeployResult:
        """Return once the rollout has begun, or waits for the one before it, or was refused."""
        result: DeployResult = await self._run(
            DeployWorkflow.run, request, f"deploy/{request.environment}/{request.spec.service}"
        )
        return result

    async def build(self, wanted: BuildRequest, tell: Tell) -> Image:
        """Return the image; ``tell`` hears of each stage. It is built to its end, whoever stops listening.

        Whoever asks for the same meanwhile waits for the same build. Raises what it was refused for.
        """
        name = digest_of(structs.replace(wanted, by=""))
        async with self._engine():
            handle = await self._client.start_workflow(
                BuildWorkflow.run,
                wanted,
                id=f"build/{self._task_queue}/{name.removeprefix('sha256:')[:32]}",
                task_queue=self._task_queue,
                task_timeout=TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            result = asyncio.ensure_future(handle.result())
            try:
                stages = await self._listen(handle.id, result, tell)
                ended: BuildResult = await result
            finally:
                result.cancel()
        if isinstance(ended, Refused):
            told = Told(ended.what, ended.why, ended.next, error=ended.error)
            raise retell(told) or BleenError(ended.what, why=ended.why, next=ended.next)
        for stage in ended.stages[stages:]:
            tell(stage)
        return ended.image

    async def _listen(self, workflow: str, result: "asyncio.Future[Any]", tell: Tell) -> int:
        """Tell of each stage while the build runs, and return how many were told."""
        told = 0
        while not (await asyncio.wait([result], timeout=_LOOK))[0]:
            seen = await self._building(workflow)
            for stage in seen.ended[told:] if seen else ():
                tell(stage)
                told += 1
        return told

    async def builds(self) -> list[Building]:
        """Return every build under way, those of deployments included."""
        kinds = "(WorkflowType = 'Build' OR WorkflowType = 'Deploy')"
        query = f"{kinds} AND ExecutionStatus = 'Running' AND TaskQueue = '{self._task_queue}'"
        async with self._engine():
            found = [await self._building(execution.id) async for execution in self._client.list_workflows(query)]
        # One that is not running has gone on to its rollout, or waits for a worker.
        return sorted((one for one in found if one and one.running), key=lambda one: (one.environment, one.name))

    async def _building(self, workflow: str) -> Building | None:
        """Return what a build does; None where it is over, or nobody answers for it at the moment."""
        handle = self._client.get_workflow_handle(workflow)
        try:
            async with asyncio.timeout(_PATIENCE):
                seen: Building = await handle.query(
                    "building", result_type=Building, reject_condition=QueryRejectCondition.NOT_OPEN
                )
                return seen
        except (WorkflowQueryRejectedError, WorkflowQueryFailedError, RPCError, TimeoutError):
            return None

    async def rollback(self, request: RollbackRequest) -> DeployResult | Rollout:
        """Go back: the running rollout where it can, which is one split change; else by a new one."""
        if request.to is None or await self._leads_back_to(request):
            rollout = await self._tell(request.environment, request.service, GoBack(request.by))
            if rollout is not None:
                return rollout
        result: DeployResult = await self._run(
            RollbackWorkflow.run, request, f"rollback/{request.environment}/{request.service}"
        )
        return result

    async def scale(self, request: ScaleRequest) -> ScaleResult:
        """Give the service another size: by the rollout under way, or without one."""
        for pause in _PAUSES:
            try:
                rollout = await self._tell(request.environment, request.service, Scale(request.by, request.size))
            except NothingToDo:  # it is just beginning, or just ending
                await asyncio.sleep(pause)
                continue
            if rollout is not None:
                return Steered(rollout)
            break
        result: ScaleResult = await self._run(ScaleWorkflow.run, request, f"scale/{request.environment}/{request.service}")
        return result

    async def command(self, environment: str, service: str, command: Command) -> Rollout:
        """Return the rollout with ``command`` taken; NothingToDo says why where it makes no sense."""
        rollout = await self._tell(environment, service, command)
        if rollout is None:
            raise NothingToDo(f"{service} has no rollout under way in {environment}", next=f"bleen status {service}")
        return rollout

    async def remove(self, request: RemovalRequest) -> Removing:
        """Return the removal of the service, begun now or under way already. Conflict while a rollout is under way.

        A rollout that only keeps a fleet warm gives way, and the lock goes from one to the other without a gap.
        """
        named = structs.replace(request, token=str(uuid.uuid4()), asked=None)
        async with self._engine():
            while True:
                removing = await answer(lambda: self._remove(named))
                if removing is not None:
                    return removing

    async def _remove(self, request: RemovalRequest) -> Removing:
        start: WithStartWorkflowOperation[RemovalWorkflow, None] = WithStartWorkflowOperation(
            RemovalWorkflow.run,
            request,
            id=rollout_id(request.environment, request.service),
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        try:
            return await self._client.execute_update_with_start_workflow(
                RemovalWorkflow.remove, request, id=request.token, start_workflow_operation=start
            )
        except RPCError:
            # It is kept for whoever asks for the handle, too, and would be logged as a loss when nobody does.
            with suppress(RPCError):
                await start.workflow_handle()
            raise

    async def removing(self, environment: str, service: str) -> Removing | None:
        """Return how far the removal of the service has come; None where none is under way."""
        try:
            return await self._ask(rollout_id(environment, service), RemovalWorkflow.removing)
        except WorkflowQueryFailedError:  # a rollout has the lock
            return None

    async def progress(self, environment: str, service: str) -> Progress | None:
        """Return the live view; None when nothing is under way."""
        return await self._ask(rollout_id(environment, service), RolloutWorkflow.progress)

    async def active(self) -> list[tuple[str, str]]:
        """Return the environment and service of every rollout under way."""
        query = f"WorkflowType = 'Rollout' AND ExecutionStatus = 'Running' AND TaskQueue = '{self._task_queue}'"
        async with self._engine():
            ids = [execution.id.split("/") async for execution in self._client.list_workflows(query)]
        return sorted((environment, service) for _, environment, service in ids)

    async def tell(self, notice: Notice) -> None:
        """Have people told; it is on its way when this returns."""
        async with self._engine():
            await Herald(self._client, self._task_queue, utc_now).tell(notice, str(uuid.uuid4()))

    async def keep_renewing(self, timetable: Timetable) -> None:
        """Have bases renewed by ``timetable`` from now on, whoever did so before."""
        async with self._engine():
            await self._renewal(timetable, "configure", timetable)

    async def renew(self, asked: Asked, timetable: Timetable) -> None:
        """Have bases renewed now; ``timetable`` counts where nobody was told one yet."""
        async with self._engine():
            await self._renewal(timetable, "ask", asked)

    async def renewal(self) -> RenewalState | None:
        """Return what the renewal of bases does; None where nobody does it."""
        return await self._ask(self._renewal_id, RenewalWorkflow.state)

    async def _ask(self, workflow: str, question: Callable[[Any], T | None]) -> T | None:
        """Return the answer of a workflow; None where it is over, or never was."""
        handle = self._client.get_workflow_handle(workflow)
        async with self._engine(), asyncio.timeout(_PATIENCE):
            try:
                return await handle.query(question, reject_condition=QueryRejectCondition.NOT_OPEN)
            except WorkflowQueryRejectedError:
                return None
            except RPCError as error:
                if has_ended(error):
                    return None
                raise

    async def _renewal(self, timetable: Timetable, signal: str, word: Timetable | Asked) -> None:
        """Tell the renewal a word; begin it where there is none. One for each queue, which is each platform."""
        await self._client.start_workflow(
            RenewalWorkflow.run,
            Agenda(timetable),
            id=self._renewal_id,
            task_queue=self._task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=signal,
            start_signal_args=[word],
        )

    @property
    def _renewal_id(self) -> str:
        return f"renewal/{self._task_queue}"

    async def _tell(self, environment: str, service: str, command: Command) -> Rollout | None:
        handle = self._client.get_workflow_handle(rollout_id(environment, service))
        return await answer(lambda: handle.execute_update(RolloutWorkflow.command, command))

    async def _leads_back_to(self, request: RollbackRequest) -> bool:
        progress = await self.progress(request.environment, request.service)
        return progress is not None and progress.rollout.stable is not None and progress.rollout.stable.number == request.to

    async def _run(self, workflow: Any, request: object, name: str) -> Any:
        async with self._engine():
            return await self._client.execute_workflow(
                workflow, request, id=f"{name}/{uuid.uuid4()}", task_queue=self._task_queue, task_timeout=TASK_TIMEOUT
            )

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[None]:
        """Translate the engine's errors."""
        try:
            yield
        except WorkflowFailureError as error:
            raise domain_error(error) or BleenError("the workflow failed", why=str(error.cause)) from None
        except TimeoutError as error:
            raise self._silent() from error
        except RPCError as error:
            if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
                raise self._silent() from error
            raise Unreachable("the workflow engine refused a call", why=str(error), next="bleen doctor") from error

    def _silent(self) -> Unreachable:
        why = self._trouble() or "it is being started again, or it is overloaded"
        return Unreachable("the workflow engine does not answer", why=why, next="bleen doctor")
