"""The service of the journeys: small, quick to start, and told by its environment how to misbehave."""

import asyncio
import json
import os
import signal
import sys

FAIL = os.environ.get("FAIL", "")  # "", "start", "health", "requests"
WORDS = os.environ.get("WORDS", "")
LIFE = float(os.environ.get("LIFE", "0"))
SLOW_START = float(os.environ.get("SLOW_START", "0"))


def answer(path: str) -> tuple[int, bytes]:
    if path == "/healthz":
        return (503, b"no") if FAIL == "health" else (200, b"ok")
    if FAIL == "requests" or (FAIL == "marked" and path == "/checked"):
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
            path = head.split(b" ", 2)[1].decode()
            if path.startswith("/slow/"):
                await asyncio.sleep(float(path.rsplit("/", 1)[1]))
            status, body = answer(path)
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
