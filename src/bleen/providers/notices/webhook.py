"""A notice by HTTP, signed as Standard Webhooks 1.0.0 says: github.com/standard-webhooks/standard-webhooks."""

import asyncio
import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime

from bleen.domain.codec import encode, plain
from bleen.domain.notice import Dispatch
from bleen.providers.transport import httpx, verification

PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64
"""Bytes of a key, by the standard."""
PATIENCE = 20.0
"""Seconds for an answer; the standard says 15 to 30."""


_WORDS = {
    "ConnectError": "no connection could be made to it",
    "RemoteProtocolError": "what answered does not speak HTTP, or ended half-way",
    "ReadError": "its answer broke off",
    "WriteError": "it stopped listening half-way",
}


class WebhookSender:
    """Posts to one address. Where nobody takes it, the same notice comes again under the same id."""

    def __init__(self, url: str, key: str, patience: float = PATIENCE) -> None:
        self._url = url
        self._key = key
        self._patience = patience

    async def send(self, dispatch: Dispatch) -> str:
        """Return why it was not taken; empty where it was."""
        key = key_bytes(self._key)
        if not key:
            return f"its key is no {PREFIX} and {_SHORTEST} to {_LONGEST} bytes in base64"
        body, now = body_of(dispatch), int(datetime.now(UTC).timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": dispatch.id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(key, dispatch.id, now, body),
        }
        try:
            return await self._post(body, headers)
        except TimeoutError:
            return f"it took longer than {self._patience:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            name = type(error).__name__  # its text may have the address in it
            return _WORDS.get(name, name)

    async def _post(self, body: bytes, headers: dict[str, str]) -> str:
        """Return why it was not taken. What is answered beside the status is not read: it may have no end."""
        async with (
            asyncio.timeout(self._patience),
            httpx.AsyncClient(timeout=self._patience, trust_env=False, verify=verification(self._url)) as http,
            http.stream("POST", self._url, content=body, headers=headers) as answer,
        ):
            return "" if answer.is_success else f"it answered {answer.status_code}"


def key_bytes(text: str) -> bytes:
    """Return the key that ``text`` spells; empty where it spells none."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return key if text.startswith(PREFIX) and _SHORTEST <= len(key) <= _LONGEST else b""


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``."""
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def body_of(dispatch: Dispatch) -> bytes:
    """Return what is posted: ``type``, ``timestamp`` and ``data``, as the standard has them."""
    data = {**plain(dispatch.notice), "level": dispatch.notice.level}
    return encode({"type": f"bleen.{dispatch.notice.kind}", "timestamp": dispatch.at, "data": data})
