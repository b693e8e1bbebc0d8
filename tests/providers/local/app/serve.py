"""The application under test: answers with its name, and misbehaves as $MISBEHAVE says or as it is asked."""
# ruff: noqa: ASYNC220, ASYNC230, PTH118, PTH123, PTH208, T201 -- as short as the programs that people run

import asyncio
import os
import signal
import subprocess
import sys

MISBEHAVE = os.environ.get("MISBEHAVE", "")
state = {"health": 503 if MISBEHAVE == "never-healthy" else 200}


async def answer(path: str) -> str:
    match path.split("/")[1:]:
        case ["sick"]:
            state["health"] = 503
        case ["well"]:
            state["health"] = 200
        case ["slow", seconds]:
            await asyncio.sleep(float(seconds))
        case ["exit", code]:
            os._exit(int(code))
        case ["say", words]:
            print(words, flush=True)
        case ["child"]:
            return str(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)
        case ["environ", name]:
            return os.environ.get(name, "")
        case ["file", *parts]:
            return open(os.path.join(os.environ["BLEEN_FILES"], *parts)).read()
        case ["write", *parts]:
            try:
                open("/" + "/".join(parts), "w").close()
            except OSError as error:
                return os.strerror(error.errno or 0)
            return "written"
        case ["processes"]:
            return " ".join(sorted(name for name in os.listdir("/proc") if name.isdigit()))
        case ["uid"]:
            return str(os.getuid())
    return os.environ["BLEEN_INSTANCE"]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1].decode()
            body = (await answer(path)).encode()
            status = state["health"] if path == "/healthz" else 200
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(address: str, port: str) -> None:
    if MISBEHAVE == "crash":
        print("one\ntwo\nthree\nfour\nfive\nthe configuration has no key 'colour'", flush=True)
        sys.exit(1)
    if MISBEHAVE == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = await asyncio.start_server(serve, address, int(port))
    print(f"serving on {address}:{port}", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:3]))
