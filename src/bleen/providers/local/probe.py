"""Health probes: one GET per look, on a connection of its own, as cheap as a socket allows."""

import asyncio
import socket

from bleen.domain.codec import Value
from bleen.domain.traffic import Endpoint

_LARGEST = 64 * 1024


class Answer(Value, frozen=True):
    """What a probe saw."""

    good: bool
    detail: str
    """``200``, ``503``, ``connection refused``, ``no answer within 1s``."""


async def ask(endpoint: Endpoint, path: str, seconds: float) -> Answer:
    """Return what ``endpoint`` answers on ``path``: good is 2xx or 3xx within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            status = await _get(endpoint, path)
    except TimeoutError:
        return Answer(good=False, detail=f"no answer within {seconds:g}s")
    except ConnectionRefusedError:
        return Answer(good=False, detail="connection refused")
    except OSError as error:
        return Answer(good=False, detail=(error.strerror or str(error)).lower())
    if status is None:
        return Answer(good=False, detail="no HTTP answer")
    return Answer(good=200 <= status < 400, detail=str(status))


async def _get(endpoint: Endpoint, path: str) -> int | None:
    """Return the status; None where the answer is not HTTP."""
    loop = asyncio.get_running_loop()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {endpoint.address}:{endpoint.port}\r\n"
        "User-Agent: bleen-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
        await loop.sock_connect(connection, (endpoint.address, endpoint.port))
        await loop.sock_sendall(connection, request.encode())
        answer = b""
        # To the end of the body: closing before it makes servers log a broken pipe once a second.
        while not _complete(answer):
            block = await loop.sock_recv(connection, _LARGEST)
            if not block:
                break
            answer += block
    return _status(answer)


def _status(answer: bytes) -> int | None:
    words = answer.split(b"\r\n", 1)[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return None
    return int(words[1])


def _complete(answer: bytes) -> bool:
    """Return whether the whole answer is there, or as much as a probe will read."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if len(answer) >= _LARGEST:
        return True
    if not separator:
        return False
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    _, found, rest = lower.partition(b"content-length:")
    length = rest.split(b"\r\n", 1)[0].strip()
    return bool(found) and length.isdigit() and len(body) >= int(length)
