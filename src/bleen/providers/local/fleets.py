"""The port `Fleets` for a controller: a client of the host agent's socket."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bleen.domain.codec import decode, encode
from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.fleet import Fleet, FleetOrder, LogLine, Slot
from bleen.domain.told import Told
from bleen.providers.local.parts import PartSeen
from bleen.providers.local.wire import Health, Retirement, from_body
from bleen.providers.transport import httpx

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0


class AgentFleets:
    """Asks the host agent. Every verb raises Unreachable while it is away: it is restarted within a second or so."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), verify=False),
            base_url="http://agent",
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        )

    async def launch(self, order: FleetOrder) -> None:
        """See `bleen.ports.Fleets`."""
        # Verifying a large image may take its time.
        await self._ask("PUT", "/fleets", content=encode(order), timeout=None)

    async def retire(self, slot: Slot, release: int) -> None:
        """See `bleen.ports.Fleets`."""
        body = encode(Retirement(slot=slot, release=release))
        await self._ask("DELETE", "/fleets", content=body, timeout=None)

    async def observe(self, service: str = "") -> Sequence[Fleet]:
        """See `bleen.ports.Fleets`."""
        fleets: list[Fleet] = decode(await self._ask("GET", "/fleets", params={"service": service}), list[Fleet])
        return fleets

    async def logs(self, service: str, *, instance: str = "", lines: int = 100, follow: bool = False) -> AsyncIterator[LogLine]:
        """See `bleen.ports.Fleets`."""
        params = {"service": service, "instance": instance, "lines": str(lines), "follow": "1" if follow else ""}
        try:
            async with self._client.stream("GET", "/logs", params=params, timeout=None) as response:
                if response.status_code != 200:
                    raise _error(await response.aread())
                async for line in response.aiter_lines():
                    yield decode(line, LogLine)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def parts(self) -> Sequence[PartSeen]:
        """Return the parts of the platform as they are."""
        parts: list[PartSeen] = decode(await self._ask("GET", "/parts"), list[PartSeen])
        return parts

    async def health(self) -> Health:
        """Return the agent itself."""
        health: Health = decode(await self._ask("GET", "/healthz"), Health)
        return health

    async def stop_everything(self) -> None:
        """End every instance and part, and the agent; returns when all but the agent itself have ended."""
        await self._ask("POST", "/stop", timeout=None)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str, **options: Any) -> bytes:
        try:
            response = await self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise _error(response.content)
        return response.content

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        why = f"{self._socket}: {error or type(error).__name__}"
        return Unreachable("the host agent does not answer", why=why, next="bleen up starts it; bleen doctor looks closer")


def _error(body: bytes) -> BleenError:
    try:
        return from_body(decode(body, Told))
    except (msgspec.ValidationError, msgspec.DecodeError):
        return Unreachable("the host agent answered with something else", why=body[:200].decode(errors="replace"))
