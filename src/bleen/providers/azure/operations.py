"""Long-running operations: begun once, followed as slowly as Azure asks, resumed by their URL after a crash.

The SDK's own poller asks at once and ignores the first Retry-After, and its position dies with the process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.storage.blob.aio import ContainerClient

from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import InvalidInput
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.errors import refused, speaking

Begin = Callable[[Callable[[Any], None]], Awaitable[Any]]
"""Begins an operation, handing the SDK's ``raw_response_hook`` on."""

_UNDER_WAY = {"InProgress", "Running", "Accepted", "Updating", "Creating", "Deleting", "NotStarted", ""}


class Note(Value, frozen=True):
    """An operation that was begun: what for, and where it answers."""

    intent: str
    url: str
    wait: float
    """Seconds that Azure asks to wait between two questions."""


class _Failure(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Answer(msgspec.Struct):
    status: str = ""
    error: _Failure | None = None


class Operations:
    """Keeps a note of each operation as a blob, by the name of what it changes. Between two polls are at least
    ``least`` seconds, ever more of them up to ``most``, and never fewer than Azure asks for."""

    def __init__(
        self,
        azure: Azure,
        notes: ContainerClient,
        least: float = 1.0,
        most: float = 30.0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``check`` raises where this process may change nothing."""
        self._azure = azure
        self._notes = notes
        self._least = least
        self._most = most
        self._check = check

    async def pending(self, name: str) -> Note | None:
        """Return the operation on ``name`` that was begun last and whose end nobody has seen."""
        with speaking("read a note"):
            try:
                data = await (await self._notes.download_blob(name)).readall()
            except ResourceNotFoundError:
                return None
        note: Note = decode(data, Note)
        return note

    async def begin(self, name: str, intent: str, begin: Begin) -> Note | None:
        """Begin an operation and note it; None where it was done at once. The one for ``intent`` is never begun twice."""
        there = await self.pending(name)
        if there is not None and there.intent == intent:
            return there
        self._check()
        heard: list[Mapping[str, str]] = []
        with speaking(f"change {name}"):
            await begin(lambda response: heard.append(response.http_response.headers))
        headers = heard[-1]
        url = headers.get("Azure-AsyncOperation") or headers.get("Location")
        if not url:
            return None
        note = Note(intent, url, _wait(headers))
        with speaking("write a note"):
            await self._notes.upload_blob(name, encode(note), overwrite=True)
        return note

    async def follow(self, name: str, note: Note) -> None:
        """Return when the operation has ended well; else raise what Azure says of it."""
        wait, pause = note.wait, self._least
        while True:
            await asyncio.sleep(max(wait, pause))
            pause = min(pause * 1.5, self._most)
            asked = await self._ask(name, note)
            if asked is None:
                return
            wait = asked

    async def ended(self, name: str, note: Note) -> bool:
        """Return whether the operation has ended well, asked once; False while it is under way."""
        return await self._ask(name, note) is None

    async def _ask(self, name: str, note: Note) -> float | None:
        """Return the seconds until it may be asked again; None where the operation has ended well."""
        self._check_host(note.url)
        with speaking(f"follow the change of {name}"):
            response = await self._azure.compute.send_request(HttpRequest("GET", note.url))
        answer = _answer(response.status_code, response.content)
        if answer.status in _UNDER_WAY:
            return _wait(response.headers)
        await self.forget(name)
        if answer.status != "Succeeded":
            failed = answer.error or _Failure(answer.status)
            raise refused(f"change {name}", 0, failed.code, failed.message)
        return None

    async def forget(self, name: str) -> None:
        """Remove the note of an operation whose end was seen."""
        try:
            await self._notes.delete_blob(name)
        except AzureError:
            return  # following it once more does no harm

    def _check_host(self, url: str) -> None:
        """Refuse to send our token elsewhere: a note is a file that others may write."""
        if urlsplit(url).netloc != urlsplit(self._azure.site.endpoint).netloc:
            raise InvalidInput(f"an operation of another host is not followed: {urlsplit(url).netloc}")


def _wait(headers: Mapping[str, str]) -> float:
    try:
        return float(headers.get("Retry-After") or 0)
    except ValueError:
        return 0.0


def _answer(status: int, content: bytes) -> _Answer:
    if status == 202 or status == 429 or status >= 500:
        return _Answer()
    if status in (204, 404):  # Azure forgets what has ended
        return _Answer("Succeeded")
    answer = msgspec.json.decode(content, type=_Answer) if content else _Answer()
    return answer if answer.status else _Answer("Succeeded" if status == 200 else "Failed")
