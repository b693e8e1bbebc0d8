"""`hello`: a web service that says which release answers, and can be told to misbehave.

/                   JSON: release, colour, instance
/slow?seconds=2     the same, later
/events             server-sent events, a tick each `?every=0.5` seconds
/ws                 a WebSocket: echoes what it gets, and ticks
/healthz            200 while it can serve, 503 once it was told to stop
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import time

from aiohttp import WSMsgType, web
from faults import Faults, UnknownFault, read_faults

IDENTITY = {name: os.environ.get(f"BLEEN_{name.upper()}", "") for name in ("service", "release", "colour", "instance")}
IDENTITY["greeting"] = os.environ.get("GREETING", "Hello")
HELLO = json.dumps(IDENTITY).encode()
STOPPING = web.AppKey("stopping", asyncio.Event)
FAULTS = web.AppKey("faults", Faults)
LONGEST = 600.0
FINISH_WITHIN = 60.0  # seconds for answers under way; Bleen's `stop.kill_after` ends it sooner where it is shorter


async def hello(request: web.Request) -> web.Response:
    faults = request.app[FAULTS]
    if faults.latency_ms:
        await asyncio.sleep(faults.delay)
    if faults.error_share and random.random() < faults.error_share:
        return web.json_response({**IDENTITY, "error": "told to fail"}, status=500)
    return web.Response(body=HELLO, content_type="application/json")


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(number(request, "seconds", 2.0))
    return web.Response(body=HELLO, content_type="application/json")


async def healthz(request: web.Request) -> web.Response:
    if request.app[FAULTS].never_healthy:
        return web.json_response({"healthy": False, "why": "told never to be"}, status=503)
    if request.app[STOPPING].is_set():
        return web.json_response({"healthy": False, "why": "stopping"}, status=503)
    return web.json_response({"healthy": True})


async def events(request: web.Request) -> web.StreamResponse:
    """Tick until the client goes or the service stops; the last event says so, and the client comes back to another."""
    every = number(request, "every", 0.5)
    count = int(number(request, "count", 0))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    tick = 0
    while not count or tick < count:
        await response.write(b"id: %d\ndata: %s\n\n" % (tick, HELLO))
        tick += 1
        if await stopping_within(request, every):
            await response.write(b"event: stopping\ndata: {}\n\n")
            break
    await response.write_eof()
    return response


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Echo every text, and tick each second between them; close with 1001 "going away" when the service stops."""
    socket = web.WebSocketResponse(heartbeat=30)
    await socket.prepare(request)
    ticking = asyncio.create_task(tick(request, socket))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_json({**IDENTITY, "echo": message.data})
    finally:
        ticking.cancel()
    return socket


async def tick(request: web.Request, socket: web.WebSocketResponse) -> None:
    count = 0
    while not await stopping_within(request, 1.0):
        await socket.send_json({**IDENTITY, "tick": count})
        count += 1
    await socket.close(code=1001, message=b"stopping")


async def stopping_within(request: web.Request, seconds: float) -> bool:
    try:
        await asyncio.wait_for(request.app[STOPPING].wait(), seconds)
    except TimeoutError:
        return False
    return True


def number(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= LONGEST:
        raise web.HTTPBadRequest(text=f"{name}={text}: write a number from 0 to {LONGEST:.0f}\n")
    return value


def application(faults: Faults) -> web.Application:
    app = web.Application()
    app[FAULTS] = faults
    app[STOPPING] = asyncio.Event()
    app.router.add_get("/", hello)
    app.router.add_get("/slow", slow)
    app.router.add_get("/events", events)
    app.router.add_get("/ws", websocket)
    app.router.add_get("/healthz", healthz)
    return app


async def serve(faults: Faults, address: str, port: int) -> None:
    """Serve until SIGTERM; then say unhealthy, take no new connections, and finish what is under way."""
    app = application(faults)
    # An idle connection is the gateway's to close: a request on its way must never meet our hanging up.
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=3600, shutdown_timeout=FINISH_WITHIN, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, address, port, backlog=4096).start()
    stop = app[STOPPING].set if not faults.ignore_sigterm else lambda: None
    for number_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number_, stop)
    print(f"listening on {address}:{port} as {IDENTITY['release'] or 'no release'}", flush=True)
    await app[STOPPING].wait()
    print("told to stop: finishing what is under way", flush=True)
    await runner.cleanup()


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    try:
        faults = read_faults()
    except UnknownFault as error:
        sys.exit(f"hello: {error}")
    if faults.crash_on_start:
        sys.exit("hello: told to crash on start (HELLO_CRASH_ON_START=1)")
    if faults.slow_start:
        print(f"told to start slowly: {faults.slow_start:g} s", flush=True)
        time.sleep(faults.slow_start)
    asyncio.run(serve(faults, os.environ.get("BLEEN_ADDRESS", "127.0.0.1"), int(os.environ.get("BLEEN_PORT", "8080"))))


if __name__ == "__main__":
    main()
