"""What is new in the ledger, of a few kinds, read when somebody wants to know."""

import asyncio
import time
from collections.abc import Callable

from msgspec import structs

from bleen.domain.ledger import Entry, Query
from bleen.ports import Ledger

FRESH = 1.0
"""Seconds in which what another controller has entered may go unseen."""
_PAGE = 1000


class Recent:
    """Hands entries of ``kinds`` to ``take``, oldest first and each one once."""

    def __init__(
        self, ledger: Ledger, kinds: tuple[str, ...], take: Callable[[Entry], None], *, environment: str = "", after: int = 0
    ) -> None:
        """Of ``environment``, or of all; those behind the sequence ``after``."""
        self._ledger = ledger
        self._wanted = Query(kinds=kinds, environment=environment, limit=_PAGE)
        self._take = take
        self._after = after
        self._looking = asyncio.Lock()
        self._begun = self._ended = 0
        """The numbers of the looks that began last, and that ended well last."""
        self.looked = float("-inf")

    async def look(self, *, now: bool = False) -> None:
        """Read what is new; without ``now``, at most once in ``FRESH`` seconds. Who asks meanwhile shares the next look."""
        if not now and time.monotonic() - self.looked < FRESH:
            return
        begun = self._begun
        async with self._looking:
            if self._ended > begun:  # one that began after this was asked for
                return
            self._begun += 1
            await self._read()
            self._ended, self.looked = self._begun, time.monotonic()

    async def _read(self) -> None:
        while True:
            entries = await self._ledger.read(structs.replace(self._wanted, after=self._after))
            for entry in entries:
                self._take(entry)
                self._after = max(self._after, entry.sequence)
            if len(entries) < _PAGE:
                return
