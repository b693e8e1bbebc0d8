"""A server that sleeps is told to end, and ends."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import uvicorn

from bleen.providers import web
from bleen.providers.web import WebServer


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def by_word(server: WebServer) -> None:
    server.end()


def by_signal(server: WebServer) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("tell", [by_word, by_signal])
async def test_it_ends_as_soon_as_it_is_told(tell: Callable[[WebServer], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it would look by itself in an hour only; the signal arrives at whoever had it before."""
    monkeypatch.setattr(web, "_DATE_SECONDS", 3600.0)
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with socket.create_server(("127.0.0.1", 0)) as door:
            server = WebServer(uvicorn.Config(hello, lifespan="off", log_config=None))
            serving = asyncio.create_task(server.serve(sockets=[door]))
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://127.0.0.1:{door.getsockname()[1]}/")).text == "hello"
            tell(server)
            async with asyncio.timeout(30):
                await serving
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ([signal.SIGTERM] if tell is by_signal else [])


async def test_it_ends_though_it_was_told_before_it_began() -> None:
    """A platform may be stopped while it starts."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = WebServer(uvicorn.Config(hello, lifespan="off", log_config=None))
        server.end()
        async with asyncio.timeout(30):
            await server.serve(sockets=[door])


async def test_its_answers_have_the_time_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header `Date` goes on while it sleeps."""
    monkeypatch.setattr(web, "_DATE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = WebServer(uvicorn.Config(hello, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[door]))
        async with httpx.AsyncClient() as client, asyncio.timeout(30):
            url = f"http://127.0.0.1:{door.getsockname()[1]}/"
            first = later = (await client.get(url)).headers["date"]
            while later == first:
                later = (await client.get(url)).headers["date"]
        server.end()
        await serving
