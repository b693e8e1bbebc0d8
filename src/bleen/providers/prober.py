"""Checks, run for real: HTTP through the gateway with the release's header, commands beside the controller."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from bleen.domain.check import Check, CheckResult, CheckTime, CommandCheck, HttpCheck, title
from bleen.domain.errors import Unreachable
from bleen.providers.transport import httpx

VISIT = 10.0
"""Seconds after which an answer to a visit is waited for no longer."""
_WORDS = 300
"""How much of a command's output a result keeps: characters from its end."""


class GatewayProber:
    """Keeps the port `Prober`. ``url_of`` gives the URL under which a gateway answers for a service."""

    def __init__(self, url_of: Callable[[str], str]) -> None:
        self._url_of = url_of

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
        headers = {"x-bleen-release": "baseline" if baseline else f"r{release}", "user-agent": "bleen"}
        with suppress(Unreachable):
            async with _client(self._url_of(service), VISIT, headers) as client:
                await asyncio.gather(*(client.get(path) for _ in range(count)), return_exceptions=True)

    async def _try(self, check: Check, service: str, release: int) -> tuple[bool, str]:
        url = self._url_of(service)
        if isinstance(check, CommandCheck):
            return await _command(check, url, release)
        return await _http(check, url, release)


def _client(url: str, timeout: float, headers: dict[str, str]) -> httpx.AsyncClient:
    """Return a client of a gateway, which speaks plain HTTP on this machine: no proxy, and no authorities to load."""
    return httpx.AsyncClient(base_url=url, timeout=timeout, headers=headers, trust_env=False, verify=False)


async def _http(check: HttpCheck, url: str, release: int) -> tuple[bool, str]:
    headers = {"x-bleen-release": f"r{release}"}
    detail = ""
    async with _client(url, check.timeout.total_seconds(), headers) as client:
        for count in range(1, check.requests + 1):
            try:
                answer = await client.get(check.path)
            except httpx.HTTPError as error:
                return False, f"request {count}: {type(error).__name__} {error}".rstrip()
            detail = f"{answer.status_code} in {answer.elapsed.total_seconds() * 1000:.0f} ms"
            if answer.status_code != check.status:
                return False, f"request {count} was answered {answer.status_code} instead of {check.status}"
            if check.contains not in answer.text:
                return False, f"request {count} was answered without {check.contains!r}"
    return True, detail if check.requests == 1 else f"{check.requests} requests, the last {detail}"


async def _command(check: CommandCheck, url: str, release: int) -> tuple[bool, str]:
    environ = {**os.environ, "BLEEN_URL": url, "BLEEN_RELEASE": f"r{release}"}
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
