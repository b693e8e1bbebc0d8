"""Checks, run for real: HTTP through the gateway with the release's header, commands beside the controller."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from bleen.domain.check import Check, CheckResult, CheckTime, CommandCheck, HttpCheck, title
from bleen.domain.codec import Value
from bleen.domain.errors import Unreachable
from bleen.providers.transport import httpx, verification

VISIT = 10.0
"""Seconds after which an answer to a visit is waited for no longer."""
_WORDS = 300
"""How much of a command's output a result keeps: characters from its end."""


class Door(Value, frozen=True):
    """Where a gateway answers for a service."""

    url: str
    host: str = ""
    """The Host header that names the service there, and whose certificate it has; empty: the URL alone does."""


DoorOf = Callable[[str, int], Awaitable[Door]]
"""Returns where a gateway answers for a release of a service of this environment; Unreachable where none does yet."""


class GatewayProber:
    """Keeps the port `Prober`."""

    def __init__(self, door_of: DoorOf) -> None:
        self._door_of = door_of

    async def run(self, check: Check, when: CheckTime, *, service: str, release: int) -> CheckResult:
        detail = ""
        for attempt in range(check.attempts):
            if attempt:
                await asyncio.sleep(1)
            passed, detail = await self._try(check, service, release)
            if passed:
                return CheckResult(title(check), when, True, detail, datetime.now(UTC))
        return CheckResult(title(check), when, False, detail, datetime.now(UTC))

    async def visit(self, path: str, count: int, *, service: str, release: int, baseline: bool = False) -> None:
        with suppress(Unreachable):
            door = await self._door_of(service, release)
            headers = _headers(door, "baseline" if baseline else f"r{release}") | {"user-agent": "bleen"}
            async with _client(door, VISIT, headers) as client:
                asked = (client.get(path, extensions=_names(door)) for _ in range(count))
                await asyncio.gather(*asked, return_exceptions=True)

    async def _try(self, check: Check, service: str, release: int) -> tuple[bool, str]:
        door = await self._door_of(service, release)
        if isinstance(check, CommandCheck):
            return await _command(check, door, release)
        return await _http(check, door, release)


def _headers(door: Door, release: str) -> dict[str, str]:
    return {"x-bleen-release": release} | ({"host": door.host} if door.host else {})


def _names(door: Door) -> dict[str, str]:
    """Return the name that a gateway at a bare address has to prove it has the certificate of."""
    return {"sni_hostname": door.host} if door.host and door.url.startswith("https:") else {}


def _client(door: Door, timeout: float, headers: dict[str, str]) -> httpx.AsyncClient:
    """Return a client of a gateway, past any proxy."""
    verify = verification(door.url)
    return httpx.AsyncClient(base_url=door.url, timeout=timeout, headers=headers, trust_env=False, verify=verify)


async def _http(check: HttpCheck, door: Door, release: int) -> tuple[bool, str]:
    headers = _headers(door, f"r{release}")
    detail = ""
    async with _client(door, check.timeout.total_seconds(), headers) as client:
        for count in range(1, check.requests + 1):
            try:
                answer = await client.get(check.path, extensions=_names(door))
            except httpx.HTTPError as error:
                return False, f"request {count}: {type(error).__name__} {error}".rstrip()
            detail = f"{answer.status_code} in {answer.elapsed.total_seconds() * 1000:.0f} ms"
            if answer.status_code != check.status:
                return False, f"request {count} was answered {answer.status_code} instead of {check.status}"
            if check.contains not in answer.text:
                return False, f"request {count} was answered without {check.contains!r}"
    return True, detail if check.requests == 1 else f"{check.requests} requests, the last {detail}"


async def _command(check: CommandCheck, door: Door, release: int) -> tuple[bool, str]:
    environ = {**os.environ, "BLEEN_URL": door.url, "BLEEN_HOST": door.host, "BLEEN_RELEASE": f"r{release}"}
    try:
        process = await asyncio.create_subprocess_exec(
            *check.run,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return False, f"cannot execute {check.run[0]!r}: {error.strerror}"
    try:
        async with asyncio.timeout(check.timeout.total_seconds()):
            output, _ = await process.communicate()
    except TimeoutError:
        return False, f"not finished after {check.timeout}: killed"
    finally:
        _end(process)
    words = output.decode(errors="replace").strip()[-_WORDS:]
    return process.returncode == 0, f"exit {process.returncode}" + (f": {words}" if words else "")


def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the command and what it started, however the wait for it ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
