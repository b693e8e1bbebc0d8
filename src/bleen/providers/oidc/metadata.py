"""What an issuer publishes of itself: where it is asked, and the keys that it signs with."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from bleen.domain.errors import InvalidInput, Unreachable
from bleen.providers.transport import httpx

FRESH = 3600.0
"""Seconds after which keys are read again: one that the issuer has withdrawn counts no longer than that."""
STALE = 24 * 3600.0
"""Seconds for which known keys go on counting while the issuer does not answer: it may be what is being deployed."""
PATIENCE = 10.0
"""Seconds between two looks for a key that is not known: anybody can send a token that names one."""
_LARGEST = 1_000_000
"""Bytes of an answer."""
_TIMEOUT = httpx.Timeout(5.0, connect=3.0)


class Metadata(msgspec.Struct, frozen=True):
    """An issuer's discovery document, as far as Bleen reads it (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    device_authorization_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Remote:
    """One issuer, as it answers. What it published is kept for a while."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._read = self._tried = float("-inf")
        self._reading = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """Return the discovery document; Unreachable where there is none, or it is another issuer's."""
        if self._metadata is None:
            url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = self._parse(await self.ask("GET", url), Metadata)
            if found.issuer != self.issuer:
                why = f"it calls itself {found.issuer}"
                raise Unreachable(f"{self.issuer} is another issuer", why=why, next="write that in the access file")
            self._metadata = found
        return self._metadata

    async def keys(self, kid: str | None) -> KeySet:
        """Return the keys that the issuer signs with, read again where none has the id ``kid``; Unreachable."""
        if self._wanting(kid):
            async with self._reading:
                if self._wanting(kid):
                    await self._read_keys()
        assert self._keys is not None
        return self._keys

    def _wanting(self, kid: str | None) -> bool:
        now = self._clock()
        if self._keys is None or now - self._read > FRESH:
            return self._keys is None or now - self._tried > PATIENCE
        return not _has(self._keys, kid) and now - self._tried > PATIENCE

    async def _read_keys(self) -> None:
        self._tried = self._clock()
        try:
            told = await self.ask("GET", (await self.metadata()).jwks_uri)
            self._keys = KeySet.import_key_set(msgspec.json.decode(told.content))
            self._read = self._tried
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"{self.issuer} publishes no keys that can be read", why=str(error), next=_WAIT) from error
        except Unreachable:
            if self._keys is None or self._tried - self._read > STALE:
                self._keys = None
                raise

    async def ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Return an answer of the issuer, whatever its status below 500; Unreachable."""
        try:
            secure = url.startswith("https:")  # certificates take 30 ms to load
            async with httpx.AsyncClient(timeout=_TIMEOUT, verify=secure) as client:
                answer = await client.request(method, url, **options)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"{self.issuer} does not answer", why=why, next=_WAIT) from error
        if answer.status_code >= 500 or len(answer.content) > _LARGEST:
            raise Unreachable(f"{self.issuer} answered {answer.status_code}", why=url, next=_WAIT)
        return answer

    def _parse(self, answer: httpx.Response, kind: type[Metadata]) -> Metadata:
        try:
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=kind)
        except (httpx.HTTPStatusError, msgspec.MsgspecError) as error:
            what = f"{self.issuer} is no OpenID Connect issuer"
            raise Unreachable(what, why=str(error).splitlines()[0], next="look at the issuer in the access file") from error


def object_in(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object that an answer is; InvalidInput."""
    try:
        found: dict[str, Any] = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"the issuer answered {answer.status_code}, and no JSON object", why=str(error)) from error
    return found


_WAIT = "try again; the access file says where it is"


def _has(keys: KeySet, kid: str | None) -> bool:
    try:
        keys.get_by_kid(kid)
    except InvalidKeyIdError:
        return False
    return True
