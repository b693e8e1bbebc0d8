"""What each environment goes by, as the ledger has it: its calendar, and who froze it."""

from collections.abc import Callable
from datetime import datetime

from msgspec import structs

from bleen.domain.errors import Unreachable
from bleen.domain.freeze import Closed, Freeze, Times, closed
from bleen.domain.ledger import CalendarSet, Entry, EnvironmentFrozen, EnvironmentThawed
from bleen.ports import Ledger
from bleen.workflows.recent import Recent

KINDS = ("environment-frozen", "environment-thawed", "calendar-set")


class Freezes:
    """Reads what is new in the ledger at most once a second, whoever asks."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._times: dict[str, Times] = {}
        self._recent = Recent(ledger, KINDS, self._take)

    async def times(self, environment: str, *, now: bool = False) -> Times:
        """Return what ``environment`` goes by; with ``now``, also what was entered this very moment.

        Where the ledger is silent, what was read last counts. Unreachable where nothing was read yet.
        """
        try:
            await self._recent.look(now=now)
        except Unreachable:
            if now or self._recent.looked == float("-inf"):
                raise
        return self._times.get(environment, Times())

    async def closed(self, environment: str) -> Closed | None:
        """Return why no rollout may begin there now; None where one may."""
        return closed(await self.times(environment), self._clock())

    def _take(self, entry: Entry) -> None:
        times = self._times.get(entry.environment, Times())
        match entry.event:
            case EnvironmentFrozen(reason, until):
                times = structs.replace(times, freeze=Freeze(reason, entry.by, entry.at, until))
            case EnvironmentThawed():
                times = structs.replace(times, freeze=None)
            case CalendarSet(calendar, holidays):
                times = structs.replace(times, calendar=calendar, holidays=holidays)
        self._times[entry.environment] = times
