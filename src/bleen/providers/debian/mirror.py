"""Asks a mirror for files. What it answers is believed only where a digest that was signed says so."""

import asyncio
import hashlib
from types import TracebackType

from bleen.domain.errors import BuildFailed, NotFound, Unreachable
from bleen.domain.image import Digest
from bleen.providers.transport import authorities, httpx

_AT_ONCE = 8
LARGEST = 512 * 1024 * 1024
"""Bytes of one file: the largest index of a distribution is a tenth of that."""


class MirrorClient:
    """Downloads from archives, a few files at once. A context manager.

    After ``patience`` seconds without a byte a mirror counts as silent.
    """

    def __init__(self, patience: float) -> None:
        timeout = httpx.Timeout(patience, pool=None)
        headers = {"accept-encoding": "identity"}
        self._http = httpx.AsyncClient(timeout=timeout, follow_redirects=True, headers=headers, verify=authorities())
        self.received = 0
        """Bytes of files that came whole."""
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> "MirrorClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, address: str, size: int = LARGEST) -> bytes:
        """Return the file, of at most ``size`` bytes; NotFound, or Unreachable where the mirror is away or breaks off."""
        async with self._turns:
            try:
                async with self._http.stream("GET", address) as answer:
                    if answer.status_code in (404, 410):
                        raise NotFound(f"the mirror has no {address}", next="the lock may be too old: build with --upgrade")
                    answer.raise_for_status()
                    data = await _read(answer, address, size)
                    self.received += len(data)
                    return data
            except (httpx.TransportError, httpx.HTTPStatusError, httpx.InvalidURL, httpx.DecodingError) as error:
                raise Unreachable(
                    f"the mirror does not answer for {address}",
                    why=str(error) or type(error).__name__,
                    next="check the network and the machine's apt sources, then try again: what was fetched is kept",
                ) from error

    async def get_checked(self, address: str, digest: Digest, size: int) -> bytes:
        """Return the file whose digest was signed; BuildFailed where the mirror has another one."""
        data = await self.get(address, size)
        found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if found != digest:
            raise BuildFailed(
                f"the mirror lies about {address}",
                why=f"its digest is {found}, and {digest} was signed",
                next="try again later (a mirror that is being updated looks like this), or use another mirror",
            )
        return data


async def _read(answer: httpx.Response, address: str, size: int) -> bytes:
    data = bytearray()
    async for chunk in answer.aiter_raw():
        data += chunk
        if len(data) > size:
            raise BuildFailed(
                f"the mirror lies about {address}",
                why=f"it sends more than the {size:,} bytes that were signed",
                next="use another mirror",
            )
    return bytes(data)
