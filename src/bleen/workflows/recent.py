"""What is new in the ledger, of a few kinds, read when somebody wants to know."""

import time
from collections.abc import Callable

from bleen.domain.ledger import Entry, Query
from bleen.ports import Ledger

FRESH = 1.0
"""Seconds in which what another controller has entered may go unseen."""
_PAGE = 1000


class Recent:
    """Hands entries of ``kinds`` to ``take``, oldest first and each one once."""

    def __init__(self, ledger: Ledger, kinds: tuple[str, ...], take: Callable[[Entry], None]) -> None:
        self._ledger = ledger
        self._kinds = kinds
        self._take = take
        self._after = 0
        self.looked = float("-inf")

    async def look(self, *, now: bool = False) -> None:
        """Read what is new; without ``now``, at most once in ``FRESH`` seconds."""
        if not now and time.monotonic() - self.looked < FRESH:
            return
        while True:
            entries = await self._ledger.read(Query(kinds=self._kinds, after=self._after, limit=_PAGE))
            for entry in entries:
                self._take(entry)
                self._after = max(self._after, entry.sequence)
            if len(entries) < _PAGE:
                self.looked = time.monotonic()
                return
