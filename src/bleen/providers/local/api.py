"""The agent's API on a unix socket: plain ASGI, because the agent must stay small.

GET    /healthz
GET    /fleets?service=NAME
PUT    /fleets                 body: FleetOrder
DELETE /fleets                 body: Retirement; answers when it is gone
GET    /logs?service=NAME&instance=NAME&lines=100&follow=1    one LogLine a line
GET    /parts
POST   /stop                   ends everything; answers when it has ended
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import uvicorn

from bleen.domain.codec import decode, encode
from bleen.domain.errors import BleenError, InvalidInput, NotFound
from bleen.domain.fleet import FleetOrder
from bleen.providers.local.agent import Agent
from bleen.providers.local.watchdog import Watched
from bleen.providers.local.wire import Health, Retirement, status, to_body
from bleen.providers.web import WebServer

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_LONGEST_BODY = 10_000_000


class Request:
    """One request, read."""

    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self.route = f"{scope['method']} {scope['path']}"
        self.body = body
        self._query: dict[str, list[str]] = parse_qs(scope["query_string"].decode())

    def word(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        return self._query.get(name, [default])[0]

    def number(self, name: str, default: int) -> int:
        """Return a parameter of the query that is a number."""
        text = self.word(name, str(default))
        if not text.isdigit():
            raise InvalidInput(f"{name}={text} is no number")
        return int(text)

    def read(self, kind: Any) -> Any:
        """Return the body as a ``kind``."""
        try:
            return decode(self.body, kind)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise InvalidInput(f"this is no {kind.__name__}", why=str(error)) from error


class AgentApi:
    """The ASGI application."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._stopping: asyncio.Task[None] | None = None
        self._routes: dict[str, Callable[[Request], Awaitable[object]]] = {
            "GET /healthz": self._health,
            "GET /fleets": self._observe,
            "PUT /fleets": self._launch,
            "DELETE /fleets": self._retire,
            "GET /parts": self._parts,
            "POST /stop": self._stop,
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            request = Request(scope, await _body(receive))
            if request.route == "GET /logs":
                await self._logs(request, receive, send)
                return
            answer = await self._route(request)
        except Exception as error:  # every error has a body: a client must not have to guess
            await _answer(send, status(error) if isinstance(error, BleenError) else 500, encode(to_body(error)))
            return
        await _answer(send, 200, encode(answer))

    def _route(self, request: Request) -> Awaitable[object]:
        if request.route not in self._routes:
            raise NotFound(f"the host agent has no {request.route}")
        return self._routes[request.route](request)

    async def _health(self, request: Request) -> Health:
        level = self._agent.machine.level
        return Health(home=str(self._agent.machine.home), pid=os.getpid(), isolation=level.isolation, reason=level.reason)

    async def _observe(self, request: Request) -> object:
        return await self._agent.observe(request.word("service"))

    async def _launch(self, request: Request) -> None:
        await self._agent.launch(request.read(FleetOrder))

    async def _retire(self, request: Request) -> None:
        retirement = request.read(Retirement)
        await self._agent.retire(retirement.slot, retirement.release)

    async def _parts(self, request: Request) -> object:
        return self._agent.parts.observe()

    async def _stop(self, request: Request) -> None:
        """Asked twice, it stops once; who asked may go away."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._agent.stop_everything())
        await asyncio.shield(self._stopping)

    async def _logs(self, request: Request, receive: Receive, send: Send) -> None:
        lines = self._agent.logs(
            request.word("service"),
            instance=request.word("instance"),
            lines=request.number("lines", 100),
            follow=request.word("follow") == "1",
        )
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x-ndjson")]})
        gone = asyncio.create_task(_disconnected(receive))
        writing = asyncio.create_task(_write_lines(lines, send))
        await asyncio.wait({gone, writing}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        writing.cancel()
        await asyncio.gather(gone, writing, return_exceptions=True)


async def _write_lines(lines: Any, send: Send) -> None:
    async for line in lines:
        await send({"type": "http.response.body", "body": encode(line) + b"\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _LONGEST_BODY:
            raise InvalidInput("the body is too long", why=f"at most {_LONGEST_BODY} bytes")
        if not message.get("more_body", False):
            return body


async def _answer(send: Send, code: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


async def serve(agent: Agent, path: Path, lock: int) -> None:
    """Begin ``agent`` and answer on the unix socket ``path`` until it is stopped; a signal leaves everything running.

    ``lock`` is that of the home, which this process has; it is given back.
    """
    listener = _listen(path)
    await agent.begin()
    config = uvicorn.Config(AgentApi(agent), http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
    config.timeout_graceful_shutdown = 2
    server = WebServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(agent.stopped.wait())
    watched = Watched(agent.machine.logs / "agent.log")
    looking = asyncio.create_task(watched.run())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.end()
    stopped.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    await asyncio.to_thread(path.unlink, True)
    looking.cancel()
    if agent.stopped.is_set():
        watched.close()
    else:
        await agent.abandon()
    os.close(lock)
