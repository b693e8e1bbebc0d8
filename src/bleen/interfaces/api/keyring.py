"""Tokens: made, revoked and recognised. They are entries of the ledger, and nothing else is kept of them."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime

from bleen.domain.access import HOME, Identity, Role, Token
from bleen.domain.codec import Value, digest_of
from bleen.domain.duration import Duration
from bleen.domain.errors import Forbidden, InvalidInput, NotFound
from bleen.domain.ledger import Draft, Entry, TokenMade, TokenRevoked
from bleen.ports import Ledger
from bleen.workflows.recent import Recent

PREFIX = "bleen"
LONGEST = Duration.parse("366d")


class Person(Value, frozen=True):
    """Somebody who signed in with an issuer."""

    name: str
    issuer: str
    subject: str
    """Whom the issuer knows it is: the issuer and its word for them."""
    grants: dict[str, Role]


class Keyring:
    """Knows the token of the home, and every token of the ledger."""

    def __init__(self, ledger: Ledger, home_token: str, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._home = digest_of(home_token.encode())
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._revoked: set[str] = set()
        self._admitting = asyncio.Lock()
        self._names: dict[str, str] = {}
        """The name of everybody who signed in, by the subject that their issuer knows."""
        self._recent = Recent(ledger, ("token-made", "token-revoked"), self._take)

    async def identify(self, secret: str) -> Identity:
        """Return who holds ``secret``; InvalidInput where it is no token, or one that counts no longer."""
        digest = digest_of(secret.encode())
        if secrets.compare_digest(digest, self._home):
            return HOME
        name = _id_of(secret)
        await self._recent.look()
        token = self._tokens.get(name)
        if token is None or not secrets.compare_digest(digest, token.digest):
            raise InvalidInput("the token is missing or wrong", next=_SEND)
        return self._counting(token)

    async def holder(self, digest: str) -> Identity:
        """Return who holds the token of that digest; InvalidInput where there is none, or it counts no longer."""
        if secrets.compare_digest(digest, self._home):
            return HOME
        await self._recent.look()
        token = next((token for token in self._tokens.values() if token.digest == digest), None)
        if token is None:
            raise InvalidInput("the token that signed this browser in is another one now", next=_LINK)
        return self._counting(token)

    def digest(self, who: Identity) -> str:
        """Return the digest of the token that ``who`` was recognised by; Forbidden for a token that is not of ours."""
        if who is HOME:
            return self._home
        if who.token not in self._tokens:
            raise Forbidden(f"{who.name} is a program", why="an issuer's token signs no browser in", next="bleen console")
        return self._tokens[who.token].digest

    def _counting(self, token: Token) -> Identity:
        if token.id in self._revoked:
            raise InvalidInput(f"the token {token.id} of {token.name} was revoked", next=_ANEW)
        if token.expires <= self._clock():
            why = f"on {token.expires:%Y-%m-%d}"
            raise InvalidInput(f"the token {token.id} of {token.name} has expired", why=why, next=_ANEW)
        return Identity(token.name, token.id, token.grants)

    async def make(self, name: str, grants: dict[str, Role], lasts: Duration, by: str) -> tuple[Token, str]:
        """Return a new token and its secret, which is told this once; InvalidInput."""
        if not grants:
            raise InvalidInput("a token needs a role somewhere", next="write for example --grant dev=deployer")
        if lasts > LONGEST or lasts <= Duration.parse("0s"):
            raise InvalidInput(
                f"a token cannot last {lasts}", why="the longest is a year", next="write for example --expires 90d"
            )
        return await self._enter(name, grants, lasts, by)

    async def admit(self, person: Person, lasts: Duration) -> tuple[Token, str]:
        """Return a new token of somebody who signed in, and its secret; Forbidden where the name is somebody else's.

        A name stays with whom it was first given to: else whoever may choose it at the issuer approves their own work.
        """
        async with self._admitting:  # of two who come with one name at the same moment, one gets it
            await self._recent.look(now=True)
            return await self._admit(person, lasts)

    async def _admit(self, person: Person, lasts: Duration) -> tuple[Token, str]:
        name = self._names.get(person.subject, person.name)
        holder = next((subject for subject, known in self._names.items() if known == name), person.subject)
        if holder != person.subject:
            why = f"it signed in as {holder} before"
            raise Forbidden(
                f"the name {name} is somebody else's", why=why, next="ask whoever keeps the issuer for another name"
            )
        return await self._enter(name, person.grants, lasts, person.issuer, person.subject)

    async def _enter(
        self, name: str, grants: dict[str, Role], lasts: Duration, by: str, subject: str = ""
    ) -> tuple[Token, str]:
        token_id, now = secrets.token_hex(4), self._clock()
        secret = f"{PREFIX}_{token_id}_{secrets.token_urlsafe(32)}"
        token = Token(token_id, name, digest_of(secret.encode()), grants, now, now + lasts, by, subject)
        await self._ledger.append(Draft(f"token/{token_id}", "", "", TokenMade(token), by=by))
        await self._recent.look(now=True)
        return token, secret

    async def revoke(self, token: str, by: str) -> None:
        """Let it count no longer, from this moment on; again is nothing more. NotFound."""
        known = await self.find(token)
        await self._ledger.append(Draft(f"token/{token}/revoked", "", "", TokenRevoked(token, known.name), by=by))
        await self._recent.look(now=True)

    async def find(self, token: str) -> Token:
        """Return the token of that id; NotFound."""
        await self._recent.look(now=True)
        if token not in self._tokens:
            raise NotFound(f"there is no token {token}", next="bleen token list")
        return self._tokens[token]

    async def all(self) -> tuple[tuple[Token, bool], ...]:
        """Return every token, newest first, and whether it was revoked."""
        await self._recent.look(now=True)
        return tuple((token, token.id in self._revoked) for token in reversed(self._tokens.values()))

    def _take(self, entry: Entry) -> None:
        match entry.event:
            case TokenMade(token):
                self._tokens[token.id] = token
                if token.subject:
                    self._names.setdefault(token.subject, token.name)
            case TokenRevoked(id):
                self._revoked.add(id)


_SEND = "send 'Authorization: Bearer' and a token: the text of <home>/token, or one of bleen token create"
_LINK = "bleen console prints a new link"
_ANEW = "ask an admin for a new one: bleen token create"


def _id_of(secret: str) -> str:
    parts = secret.split("_", 2)
    if len(parts) != 3 or parts[0] != PREFIX:
        raise InvalidInput("the token is missing or wrong", next=_SEND)
    return parts[1]
