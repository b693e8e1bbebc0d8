"""The service of the journeys: small, quick to start, and told by its environment how to misbehave."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from random import random

FAIL = os.environ.get("FAIL", "")  # "", "start", "health", "requests"
WORDS = os.environ.get("WORDS", "")
LIFE = float(os.environ.get("LIFE", "0"))
SLOW_START = float(os.environ.get("SLOW_START", "0"))
ERRORS = float(os.environ.get("ERRORS", "0"))  # this share of the requests fails
LATENCY = float(os.environ.get("LATENCY", "0"))  # seconds that each answer takes longer
LIMIT = float(os.environ.get("LIMIT", "0"))  # requests a second from which on the rest fails
DEPENDENCY = int(os.environ.get("DEPENDENCY", "0"))  # a port without which nothing can be answered

counts: Counter[str] = Counter()  # what came, copies apart, and what failed; neither probes nor questions for this


class Bucket:
    """Lets `LIMIT` requests a second through, and a second's worth at once."""

    left, at = LIMIT, time.monotonic()

    def empty(self) -> bool:
        now = time.monotonic()
        self.left, self.at = min(LIMIT, self.left + (now - self.at) * LIMIT), now
        if self.left < 1:
            return True
        self.left -= 1
        return False


bucket = Bucket()


async def broken(path: str) -> bool:
    return (
        FAIL == "requests"
        or (FAIL == "marked" and path == "/checked")
        or random() < ERRORS
        or bool(LIMIT and bucket.empty())
        or bool(DEPENDENCY and not await reached(DEPENDENCY))
    )


async def reached(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def answer(method: str, path: str, copy: bool) -> tuple[int, bytes]:
    if path == "/healthz":
        return (503, b"no") if FAIL == "health" else (200, b"ok")
    if path == "/counts":
        return 200, json.dumps(counts).encode()
    counts[f"{'copied ' if copy else ''}{method}"] += 1
    await asyncio.sleep(LATENCY)
    if await broken(path):
        counts["failed"] += 1
        return 500, b"broken"
    facts = {
        "instance": os.environ["BLEEN_INSTANCE"],
        "release": os.environ["BLEEN_RELEASE"],
        "words": WORDS,
        "secret": len(os.environ.get("SECRET", "")),
    }
    return 200, json.dumps(facts).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            method, path, _ = head.decode().split(" ", 2)
            if path.startswith("/slow/"):
                await asyncio.sleep(float(path.rsplit("/", 1)[1]))
            status, body = await answer(method, path, b"\r\nx-bleen-mirror:" in head.lower())
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(address: str, port: int) -> None:
    if FAIL == "start":
        sys.exit("the configuration has no key 'colour'")
    await asyncio.sleep(SLOW_START)
    server = await asyncio.start_server(serve, address, port)
    stop = asyncio.Event()
    if FAIL != "term":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"serving on {address}:{port}", flush=True)
    if LIFE:
        asyncio.get_running_loop().call_later(LIFE, os._exit, 1)
    await stop.wait()
    server.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
