"""A write that is asked twice is done once: the header ``Idempotency-Key``.

Answers are kept in memory, for a while: long enough for a client whose connection broke to ask again. What must hold
across a restart does so by itself: a release is named by its content, a rollout by its service.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, cast

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from bleen.interfaces.api.faults import refuse

LARGEST = 10_000_000
"""Bytes of a request's body; a larger one is refused."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEPT = 1000
_LONGEST_KEY = 200


@dataclass
class _Asked:
    """A write that was asked with a key."""

    request: str
    """A digest of what was asked."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    answer: list[Message] = field(default_factory=list)
    """Empty while it is under way, and where it did not come to an answer."""


class Once(ASGIMiddleware):
    """Answers a write whose key is known with the answer that it had."""

    scopes = (ScopeType.HTTP,)

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[str, str], _Asked] = OrderedDict()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        key = Headers.from_scope(scope).get("idempotency-key", "")
        http = cast("HTTPScope", scope)
        if not key or http["method"] in _READS:
            await next_app(scope, receive, send)
            return
        messages, body = await _whole(receive)
        if len(key) > _LONGEST_KEY:
            next = f"send at most {_LONGEST_KEY} characters"
            await refuse(400, "the Idempotency-Key is too long", next)(scope, receive, send)
        elif len(body) > LARGEST:
            await refuse(413, "the body is too large", f"send at most {LARGEST:,} bytes")(scope, receive, send)
        else:
            await self._once(key, _digest(http, body), scope, _again(messages, receive), send, next_app)

    async def _once(self, key: str, request: str, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = Headers.from_scope(scope)
        who = headers.get("authorization", "") or headers.get("cookie", "")
        name = hashlib.sha256(who.encode()).hexdigest(), key
        while (asked := self._asked.get(name)) is not None:
            if asked.request != request:
                what = "this Idempotency-Key was sent with another request"
                await refuse(422, what, "send a new key with a new request")(scope, receive, send)
                return
            await asked.done.wait()
            for message in asked.answer:
                await send(message)
            if asked.answer:
                return
        asked = self._asked[name] = _Asked(request)
        while len(self._asked) > _KEPT:
            self._asked.popitem(last=False)
        await self._do(asked, name, scope, receive, send, next_app)

    async def _do(
        self, asked: _Asked, name: tuple[str, str], scope: Scope, receive: Receive, send: Send, next_app: ASGIApp
    ) -> None:
        answer: list[Message] = []

        async def remember(message: Message) -> None:
            answer.append(message)
            await send(message)

        try:
            await next_app(scope, receive, remember)
            started = next((m for m in answer if m["type"] == "http.response.start"), None)
            if started is not None and started["status"] < 500:  # what failed may be tried again
                asked.answer = answer
        finally:
            if not asked.answer:
                self._asked.pop(name, None)
            asked.done.set()


def _digest(scope: HTTPScope, body: bytes) -> str:
    """Return what tells one request from another."""
    head = f"{scope['method']} {scope['path']}?".encode() + scope["query_string"]
    return hashlib.sha256(head + b"\n" + body).hexdigest()


async def _whole(receive: Receive) -> tuple[list[Any], bytes]:
    """Return the messages of a request's body, and the body; of one that is too large, not all of it."""
    messages: list[Any] = []
    size = 0
    while True:
        message: Any = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body") or size > LARGEST:
            return messages, b"".join(m.get("body", b"") for m in messages)


def _again(messages: list[Any], receive: Receive) -> Receive:
    """Return a ``receive`` that tells ``messages`` first."""
    left = list(messages)

    async def again() -> Any:
        return left.pop(0) if left else await receive()

    return again
