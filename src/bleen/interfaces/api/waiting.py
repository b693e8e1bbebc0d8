"""What waits for somebody to come back with a secret: each thing once, for a while, and not too many."""

from collections.abc import Callable
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Generic, TypeVar

from bleen.domain.codec import digest_of

T = TypeVar("T")
_MOST = 1000
"""Things that wait; beyond that the oldest is forgotten."""


class Waiting(Generic[T]):
    """Keeps things of one kind, each under a secret of 256 random bits of which it keeps the digest alone."""

    def __init__(self, clock: Callable[[], datetime], lasts: timedelta) -> None:
        self._clock = clock
        self._lasts = lasts
        self._kept: dict[str, tuple[datetime, T]] = {}

    def keep(self, what: T) -> tuple[str, datetime]:
        """Return the secret under which ``what`` is kept, and until when."""
        now, secret = self._clock(), token_urlsafe(32)
        self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > now}
        while len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[digest_of(secret.encode())] = now + self._lasts, what
        return secret, now + self._lasts

    def look(self, secret: str) -> T | None:
        """Return what is kept under ``secret``; None where nothing is any more."""
        expires, what = self._kept.get(digest_of(secret.encode()), (None, None))
        return what if expires is not None and expires > self._clock() else None

    def take(self, secret: str) -> T | None:
        """Return what is kept under ``secret``, and keep it no longer."""
        found = self.look(secret)
        self._kept.pop(digest_of(secret.encode()), None)
        return found
