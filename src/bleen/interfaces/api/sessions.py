"""Browsers that are signed in: a link that is good once, and a session whose secret has two halves.

The cookie is one half, which no script can read. The page keeps the other and sends it as a header, which no other page can:
a cookie alone is sent by a browser to every port of the same host, and services of this machine listen on some of them.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bleen.domain.access import Identity, Session
from bleen.domain.codec import digest_of
from bleen.domain.errors import BleenError, InvalidInput
from bleen.domain.ledger import Draft, Entry, SessionClosed, SessionOpened
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.waiting import Waiting
from bleen.ports import Ledger
from bleen.workflows.recent import Recent

LINK_LASTS = timedelta(minutes=5)
LASTS = timedelta(hours=12)


@dataclass(frozen=True)
class _Link:
    of: str
    person: str


class Sessions:
    """Knows every session of the ledger, and the links of this controller that nobody opened yet."""

    def __init__(self, ledger: Ledger, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._keyring = keyring
        self._clock = clock
        self._links: Waiting[_Link | BleenError] = Waiting(clock, LINK_LASTS)
        self._sessions: dict[str, Session] = {}
        self._closed: set[str] = set()
        self._recent = Recent(ledger, ("session-opened", "session-closed"), self._take)

    def invite(self, who: Identity, person: str) -> tuple[str, datetime]:
        """Return a code that signs a browser in for ``who``, once, and until when it is good."""
        return self._links.keep(_Link(self._keyring.digest(who), person))

    def disinvite(self, error: BleenError) -> str:
        """Return a code that signs nobody in, and tells the console why."""
        return self._links.keep(error)[0]

    async def open(self, code: str) -> tuple[Session, str, str]:
        """Return the new session of ``code``, the half for the cookie and the half for the page; InvalidInput."""
        link, now = self._links.take(code), self._clock()
        if isinstance(link, BleenError):
            raise link
        if link is None:
            raise InvalidInput("this link does not sign in any more", why="it is good once, for five minutes", next=_LINK)
        await self._keyring.holder(link.of)
        name = secrets.token_hex(8)
        cookie, key = f"{name}.{secrets.token_urlsafe(32)}", secrets.token_urlsafe(32)
        session = Session(name, link.person, link.of, _digest(cookie, key), now, now + LASTS)
        await self._ledger.append(Draft(f"session/{name}", "", "", SessionOpened(session), by=link.person))
        await self._recent.look(now=True)
        return session, cookie, key

    async def identify(self, cookie: str, key: str) -> tuple[Identity, Session]:
        """Return who is behind both halves; InvalidInput where they are none, or count no longer."""
        await self._recent.look()
        session = self._sessions.get(cookie.partition(".")[0])
        if session is None or not secrets.compare_digest(_digest(cookie, key), session.digest):
            raise InvalidInput("this browser is not signed in", next=_LINK)
        if session.id in self._closed:
            raise InvalidInput("this browser was signed out", next=_LINK)
        if session.expires <= self._clock():
            raise InvalidInput("this session has expired", why=f"it lasts {LASTS.seconds // 3600} hours", next=_LINK)
        return await self._keyring.holder(session.of), session

    async def close(self, session: Session) -> None:
        """Let it count no longer."""
        draft = Draft(f"session/{session.id}/closed", "", "", SessionClosed(session.id), by=session.person)
        await self._ledger.append(draft)
        await self._recent.look(now=True)

    def _take(self, entry: Entry) -> None:
        match entry.event:
            case SessionOpened(session):
                self._sessions[session.id] = session
            case SessionClosed(id):
                self._closed.add(id)


_LINK = "bleen console prints a new link"


def _digest(cookie: str, key: str) -> str:
    return digest_of(f"{cookie}.{key}".encode())
