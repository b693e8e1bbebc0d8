"""How often one token, or one address without any, may ask.

Litestar's own middleware keeps the time of every request of its window as one JSON text, which it rewrites with each of them: a
hundred kilobytes at 200 requests a second. One number is enough.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from bleen.domain.access import HOME, Identity, Session
from bleen.domain.allowance import Allowance
from bleen.domain.errors import TooOften

_MOST = 10_000
"""Askers that are remembered; beyond that, the one that was not heard of for longest is forgotten."""


class Limits:
    """Counts requests; refuses those that are too many. The token of the home is never refused: it owns the platform."""

    def __init__(
        self, known: Allowance | None, strangers: Allowance | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._known = _Counter(known, clock)
        self._strangers = _Counter(strangers, clock)

    def known(self, who: Identity, session: Session | None) -> None:
        """Count a request of ``who``; TooOften. All sessions of a token, and all pipelines of a name, count together."""
        if who is not HOME:
            self._known.count(who.token or f"program {who.name}", who.name)
        elif session is not None:
            self._known.count(session.id, session.person)

    def stranger(self, address: str) -> None:
        """Count a request of somebody who is nobody yet; TooOften."""
        self._strangers.count(address, address)


class _Counter:
    def __init__(self, allowance: Allowance | None, clock: Callable[[], float]) -> None:
        self._allowance = allowance
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def count(self, key: str, name: str) -> None:
        if self._allowance is None:
            return
        self._due[key], wait = self._allowance.arrive(self._due.get(key, 0.0), self._clock())
        self._due.move_to_end(key)
        while len(self._due) > _MOST:
            self._due.popitem(last=False)
        if wait:
            why = f"{self._allowance.rate:g} requests a second are welcome, and {self._allowance.burst:g} at once"
            whole = math.ceil(wait)
            raise TooOften(f"{name} asks too often", why=why, next=f"try again in {whole} s", wait=whole)
