"""Issuers in memory: people and programs who are whom a test says they are."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from bleen.domain.errors import Forbidden, InvalidInput, NotFound, Unreachable
from bleen.domain.issuer import Access, Claims, DeviceErrand, Errand, Issuer


class MemoryIssuers:
    """Port `Issuers`. ``answers`` False: no issuer does."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.answers = True
        self._codes: dict[str, tuple[str, Claims]] = {}
        self._devices: dict[str, Claims | None] = {}
        self.asked: list[DeviceErrand] = []
        """Every code that somebody was to confirm."""
        self._waiting: set[str] = set()
        self._tokens: dict[str, Claims] = {}

    async def begin(self, redirect: str) -> Errand:
        """See `bleen.ports.Issuers`."""
        door = self._door()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return Errand(f"{door.issuer}/auth?state={state}", redirect, state, nonce, verifier)

    async def finish(self, errand: Errand, code: str) -> Claims:
        """See `bleen.ports.Issuers`."""
        self._door()
        state, claims = self._codes.pop(code, ("", None))
        if claims is None or state != errand.state:
            raise InvalidInput("the issuer does not know this sign-in", next="sign in again")
        return claims

    async def begin_device(self) -> DeviceErrand:
        """See `bleen.ports.Issuers`."""
        door = self._door()
        device, code = secrets.token_urlsafe(16), secrets.token_hex(4).upper()
        self._waiting.add(device)
        expires = datetime.now(UTC) + timedelta(minutes=10)
        errand = DeviceErrand(f"{door.issuer}/device", code, device, 1, expires, f"{door.issuer}/device?user_code={code}")
        self.asked.append(errand)
        return errand

    async def finish_device(self, errand: DeviceErrand) -> Claims | None:
        """See `bleen.ports.Issuers`."""
        self._door()
        if errand.device in self._waiting:
            return None
        if errand.device not in self._devices:
            raise InvalidInput("this sign-in counts no longer", next="bleen login")
        claims = self._devices.pop(errand.device)
        if claims is None:
            raise Forbidden("somebody said no to this sign-in", next="bleen login")
        return claims

    async def read(self, token: str) -> Claims:
        """See `bleen.ports.Issuers`."""
        self._answering()
        if token not in self._tokens:
            raise InvalidInput("the token does not count", why="its signature is wrong", next="get a new one of the issuer")
        return self._tokens[token]

    # ---- people and programs ----

    def visit(self, errand: Errand, subject: str, **said: Any) -> str:
        """Let somebody sign in where ``errand`` sent their browser; return the code that it comes back with."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = errand.state, self._claims(self._door(), subject, said)
        return code

    def confirm(self, errand: DeviceErrand, subject: str, **said: Any) -> None:
        """Let somebody confirm the code of ``errand``."""
        self._waiting.discard(errand.device)
        self._devices[errand.device] = self._claims(self._door(), subject, said)

    def refuse(self, errand: DeviceErrand) -> None:
        """Let somebody say no to it."""
        self._waiting.discard(errand.device)
        self._devices[errand.device] = None

    def sign(self, issuer: Issuer, subject: str, **said: Any) -> str:
        """Return a token for a program."""
        token = f"eyJ.{secrets.token_urlsafe(16)}.memory"
        self._tokens[token] = self._claims(issuer, subject, said)
        return token

    def _claims(self, issuer: Issuer, subject: str, said: dict[str, Any]) -> Claims:
        return Claims(issuer.issuer, subject, {"sub": subject} | said)

    def _door(self) -> Issuer:
        self._answering()
        if self.access.door is None:
            raise NotFound("nobody signs in here", next="bleen console")
        return self.access.door

    def _answering(self) -> None:
        if not self.answers:
            raise Unreachable("the issuer does not answer", next="try again")
