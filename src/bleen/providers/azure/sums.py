"""What every release answered, added up from the minutes that Azure Monitor tells of addresses. Pure: `monitor.py` asks."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from bleen.domain.fidelity import GatewayMode
from bleen.domain.signals import Counters
from bleen.providers.azure.owners import History, Owner, Place, owners
from bleen.providers.azure.table import Table

GRAIN = timedelta(minutes=1)
"""What is told at once. Monitor may tell another one with its answer, and then that is it."""
SETTLED = 2
"""Grains after its end from which one is counted: "the latency of processing metrics can be within a couple minutes range", and
until then what is shown may be a part (Microsoft: *Troubleshooting metrics charts*)."""
LATE = 5
"""Grains for which one that was counted is asked for again: what has been added meanwhile is counted, too."""
AROUND = 0.25
"""Of a grain: so long before and after it an address has to be the same release's. The clocks of two machines differ."""


class Series(NamedTuple):
    """What one backend answered in one class: how often, in the grain that began then."""

    pool: str
    server: str
    status: str
    points: Mapping[datetime, int]


class Answer(NamedTuple):
    """What Monitor told, and how long each point of it is."""

    grain: timedelta
    series: tuple[Series, ...]


class Sums:
    """Answers by release and class, since this began. No sum ever goes down.

    A minute is counted when it is settled. What Monitor adds to it later is added; what it takes back is not: it was evidence.
    What lies before the first look, or in a time in which nobody looked, is not counted: nobody knows whose it was.
    """

    def __init__(self, mode: GatewayMode) -> None:
        self.name = uuid4().hex[:12]
        self.grain = GRAIN
        self.until = datetime.min.replace(tzinfo=UTC)
        """The end of the last minute that is counted; before there is one, when the first of them begins."""
        self._mode = mode
        self._history = History()
        self._looked: datetime | None = None
        self._counted: dict[tuple[str, str, str, datetime], int] = {}
        self._sums: dict[Owner, Counter[str]] = {}

    @property
    def reach(self) -> timedelta:
        """How far back Monitor is asked."""
        return (SETTLED + LATE + 1) * self.grain

    def note(self, at: datetime, table: Table) -> None:
        """Note whose each address is at that moment."""
        self._history.note(at, owners(self._mode, table))
        if self._looked is None or not timedelta() <= at - self._looked <= self.grain:
            first = _began(at + AROUND * self.grain, self.grain) + self.grain
            self.until = max(self.until, first)
        self._looked = at

    def add(self, answer: Answer, now: datetime) -> None:
        """Count what is settled by then."""
        if answer.grain != self.grain:  # the first answer, but for a gateway that tells another one from some day on
            self.grain, self.until = answer.grain, _began(now, answer.grain) + answer.grain
        settled = _began(now, self.grain) - SETTLED * self.grain
        oldest = settled - LATE * self.grain
        self.until = max(self.until, settled)
        for series in answer.series:
            for begin, count in series.points.items():
                if oldest <= begin <= settled - self.grain:
                    self._count(series, begin, count)
        self._counted = {key: count for key, count in self._counted.items() if key[3] >= oldest}
        self._history.forget(oldest - AROUND * self.grain)

    def _count(self, series: Series, begin: datetime, count: int) -> None:
        key = (series.pool, series.server, series.status, begin)
        more = count - self._counted.get(key, 0)
        if more <= 0:
            return
        self._counted[key] = count
        around = AROUND * self.grain
        owner = self._history.owner(place(self._mode, series), begin - around, begin + self.grain + around, self.grain)
        if owner is not None:
            self._sums.setdefault(owner, Counter())[series.status] += more

    def of(self, owner: Owner) -> Counter[str]:
        """Return the answers of a release by class."""
        return Counter(self._sums.get(owner, {}))


class Meter:
    """Begins at zero when a release is first asked for."""

    def __init__(self) -> None:
        self._first: dict[Owner, Counter[str]] = {}

    def count(self, owner: Owner, sums: Sums) -> Counters:
        """Return what ``owner`` answered since then."""
        now = sums.of(owner)
        classes = dict(sorted((now - self._first.setdefault(owner, now)).items()))
        return Counters(owner.release, sum(classes.values()), classes.get("5xx", 0), classes)


def place(mode: GatewayMode, series: Series) -> Place:
    """Return where a series was counted. Whether Monitor writes a server with its port is not documented: it is left out."""
    server = "" if mode is GatewayMode.FLIP else re.sub(r":\d+$", "", series.server.lower())
    return Place(series.pool.lower(), server)


def _began(at: datetime, grain: timedelta) -> datetime:
    """Return when the grain began in which ``at`` is."""
    return at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % grain
