"""Long-running operations: begun by a request, followed by its URL, ended by themselves."""

import asyncio
import time
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field

from aiohttp import web

from tests.azure.double.faults import Refused


@dataclass
class Operation:
    """One operation."""

    kind: str
    status: str = "InProgress"
    error: Refused | None = None
    polled: float = field(default_factory=time.monotonic)
    """When it was asked after last, its beginning included."""


class Operations:
    """All of them. ``retry_after`` is what each answer asks of whoever polls, in seconds."""

    def __init__(self) -> None:
        self.retry_after = 0.0
        self.all: dict[str, Operation] = {}
        self.hasty = 0
        """How often somebody polled sooner than allowed."""
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, kind: str, work: Awaitable[None]) -> str:
        """Return the path of a new operation that does ``work``."""
        operation = Operation(kind)
        path = f"/operations/{uuid.uuid4().hex}"
        self.all[path] = operation
        task = asyncio.ensure_future(self._run(operation, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return path

    async def _run(self, operation: Operation, work: Awaitable[None]) -> None:
        try:
            await work
        except Refused as error:
            operation.error, operation.status = error, "Failed"
        else:
            operation.status = "Succeeded"

    def poll(self, path: str) -> web.Response:
        """Answer as the URL in ``Azure-AsyncOperation`` does."""
        operation = self.all.get(path)
        if operation is None:
            raise Refused(404, "NotFound", "no such operation")
        now = time.monotonic()
        self.hasty += now - operation.polled < self.retry_after * 0.98
        operation.polled = now
        body: dict[str, object] = {"name": path.rpartition("/")[2], "status": operation.status}
        if operation.error is not None:
            body["error"] = {"code": operation.error.code, "message": operation.error.message}
        return web.json_response(body, headers={"Retry-After": f"{self.retry_after:g}"})

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
