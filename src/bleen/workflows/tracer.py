"""The tracer: tells of every rollout, once it has come to its outcome and once it has ended, what it did.

It reads the ledger, and no rollout waits for it: a collector that is away loses nothing, and is told when it is back.
"""

import asyncio
import logging
from datetime import timedelta

from bleen.domain.errors import BleenError
from bleen.domain.ledger import Entry, Query
from bleen.domain.trace import KINDS, spans_of
from bleen.ports import Ledger, Traces

log = logging.getLogger("bleen.tracer")

EVERY = timedelta(seconds=5)
"""How long a trace may be on its way."""
_PAGE = 100
_ENTRIES = 1000


class Tracer:
    """Stands between the ledger and whoever collects traces."""

    def __init__(self, ledger: Ledger, traces: Traces) -> None:
        self._ledger = ledger
        self._traces = traces

    async def run(self) -> None:
        """Tell what is new, every few seconds, until cancelled."""
        said = ""
        while True:
            try:
                while await self.tell():
                    pass
                said = ""
            except BleenError as error:
                if str(error) != said:
                    log.warning("%s", error)
                said = str(error)
            await asyncio.sleep(EVERY.total_seconds())

    async def tell(self) -> int:
        """Tell of the next few rollouts that came to something; return of how many."""
        ended = await self._ledger.read(Query(kinds=KINDS, after=await self._traces.told(), limit=_PAGE))
        for entry in ended:
            await self._traces.tell(spans_of(await self._whole(entry)), entry.sequence)
        return len(ended)

    async def _whole(self, last: Entry) -> list[Entry]:
        """Return the entries of a rollout, up to ``last``."""
        entries: list[Entry] = []
        while True:
            after = entries[-1].sequence if entries else 0
            query = Query(rollout=last.rollout, after=after, before=last.sequence + 1, limit=_ENTRIES)
            read = await self._ledger.read(query)
            entries += read
            if len(read) < _ENTRIES:
                return entries
