"""The herald: hands a notice to the engine, which brings it to everybody, however often it takes and whoever dies meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from bleen.domain.codec import digest_of
from bleen.domain.notice import Dispatch, Notice

WORKFLOW = "Notify"
_TASK_TIMEOUT = timedelta(seconds=3)


def occasion() -> str:
    """Return what names this activity, at each of its attempts: what it tells is told once."""
    info = activity.info()
    return f"{info.workflow_run_id}/{info.activity_id}"


class Herald:
    """Begins one workflow for each notice: nobody waits for it."""

    def __init__(self, client: Client, task_queue: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._task_queue = task_queue
        self._clock = clock

    async def tell(self, notice: Notice, token: str) -> None:
        """Have it told. The same ``token`` twice is one notice."""
        id = f"msg_{digest_of(token.encode()).removeprefix('sha256:')[:24]}"
        with suppress(WorkflowAlreadyStartedError):
            await self._client.start_workflow(
                WORKFLOW,
                Dispatch(id, self._clock(), notice),
                id=f"notice/{self._task_queue}/{id}",
                task_queue=self._task_queue,
                task_timeout=_TASK_TIMEOUT,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
