"""People who sign in with an OpenID Connect issuer, and programs that send its tokens.

Signing in makes a token of ours, which the ledger has: it ends, is listed and can be revoked like any other (decision 0033).
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from bleen.domain.access import Identity, Token
from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, Forbidden, InvalidInput, NotFound
from bleen.domain.issuer import Access, Claims, DeviceErrand, Errand, Issuer, person_of, program_of, roles_of
from bleen.interfaces.api.keyring import Keyring, Person
from bleen.interfaces.api.sessions import Sessions
from bleen.interfaces.api.waiting import Waiting
from bleen.ports import Issuers

ERRAND_LASTS = timedelta(minutes=10)
"""How long somebody may take at the issuer: to find a password, and a second factor."""


class Returned(Value, frozen=True):
    """What a browser came back with from the issuer."""

    state: str
    cookie: str
    code: str = ""
    error: str = ""
    issuer: str = ""
    """Who sent it back, where it says so (RFC 9207)."""


class Entrance:
    """Lets in whom the issuers of an access file know, with the roles that its rules give."""

    def __init__(self, access: Access, issuers: Issuers | None, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self.access = access
        self._issuers = issuers
        self._keyring = keyring
        self._sent: Waiting[Errand] = Waiting(clock, ERRAND_LASTS)
        self._asked: Waiting[DeviceErrand] = Waiting(clock, ERRAND_LASTS)

    async def begin(self, redirect: str) -> tuple[str, str]:
        """Return where to send a browser, and what it keeps in a cookie: nobody comes back in another one's place."""
        errand = await self._known.begin(redirect)
        return errand.url, self._sent.keep(errand)[0]

    async def finish(self, returned: Returned) -> tuple[Identity, str]:
        """Return who signed in, and their name; Forbidden, InvalidInput."""
        errand = self._sent.take(returned.cookie)
        if errand is None or not secrets.compare_digest(errand.state, returned.state):
            why = "it was begun in another browser, too long ago, or used already"
            raise InvalidInput("this sign-in counts no longer", why=why, next="sign in again")
        door = self.access.door
        if returned.issuer and (door is None or returned.issuer != door.issuer):
            raise InvalidInput("this sign-in comes from another issuer", why=returned.issuer[:200], next="sign in again")
        if returned.error or not returned.code:
            raise Forbidden("the issuer signed nobody in", why=returned.error[:200], next="sign in again")
        token, _ = await self._admit(await self._known.finish(errand, returned.code))
        return Identity(token.name, token.id, token.grants), token.name

    async def begin_device(self) -> tuple[DeviceErrand, str]:
        """Return what somebody confirms in any browser, and the secret that whoever waits for it asks with."""
        errand = await self._known.begin_device()
        return errand, self._asked.keep(errand)[0]

    async def finish_device(self, secret: str) -> tuple[Token, str] | None:
        """Return the token of who confirmed it, and its secret; None while nobody has."""
        errand = self._asked.look(secret)
        if errand is None:
            raise InvalidInput("this sign-in counts no longer", why="it is good once, for ten minutes", next="bleen login")
        try:
            claims = await self._known.finish_device(errand)
        except (Forbidden, InvalidInput):
            self._asked.take(secret)
            raise
        if claims is None or self._asked.take(secret) is None:
            return None
        return await self._admit(claims)

    async def identify(self, token: str) -> Identity:
        """Return the program whose token that is, as an issuer signed it; Forbidden where no rule gives it a role."""
        claims = await self._known.read(token)
        issuer = self._issuer(claims)
        return Identity(program_of(issuer, claims), "", roles_of(issuer, claims))

    async def _admit(self, claims: Claims) -> tuple[Token, str]:
        issuer = self._issuer(claims)
        roles = roles_of(issuer, claims)
        person = Person(person_of(issuer, claims), issuer.issuer, f"{issuer.issuer} {claims.subject}", roles)
        return await self._keyring.admit(person, issuer.lasts)

    def _issuer(self, claims: Claims) -> Issuer:
        return next(issuer for issuer in self.access.issuers if issuer.issuer == claims.issuer)

    @property
    def _known(self) -> Issuers:
        if self._issuers is None:
            raise NotFound("nobody signs in here", why="the controller has no access file", next="bleen console")
        return self._issuers


async def tell(entrance: Entrance, sessions: Sessions, returned: Returned) -> str:
    """Return the code with which the console's page opens a session, or hears why there is none."""
    try:
        who, name = await entrance.finish(returned)
    except BleenError as error:
        return sessions.disinvite(error)
    return sessions.invite(who, name)[0]
