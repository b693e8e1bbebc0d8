"""Calendars: when rollouts may begin in an environment, by the wall clock of a time zone.

Every question is asked of what a clock on the wall shows. An hour that a change to summer time leaves out is in no window;
one that a change back repeats is in its window twice.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, field

from bleen.domain.codec import Text, Value
from bleen.domain.errors import InvalidInput

Day = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="A day, as year-month-day, in the calendar's zone.",
        examples=["2026-12-18"],
    ),
]
Clock = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", description="A time of day.", examples=["09:00"])
]
Place = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="An environment.", examples=["production"])]
_DAY = 86_400
_HORIZON = 22
"""Days in which every weekly window comes round, though a change of the clock should leave it out twice."""


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEK = tuple(Weekday)


class Window(Value, frozen=True):
    """Times of the week at which rollouts may begin."""

    days: Annotated[tuple[Weekday, ...], Meta(min_length=1, description="The days on which it opens.")]
    opens: Annotated[Clock, Meta(description="When it opens.")] = field(name="from")
    closes: Annotated[
        Clock, Meta(description="When it closes; before `from`: on the next day. `24:00` is the end of the day.")
    ] = field(name="to")

    def has(self, wall: datetime) -> bool:
        """Return whether it is open when a clock on the wall shows ``wall``."""
        minute, opens, closes = _minute(wall), minutes(self.opens), minutes(self.closes)
        today, yesterday = _WEEK[wall.weekday()] in self.days, _WEEK[wall.weekday() - 1] in self.days
        if opens < closes:
            return today and opens <= minute < closes
        return (today and minute >= opens) or (yesterday and minute < closes)

    def __str__(self) -> str:
        return f"{','.join(self.days)} {self.opens}-{self.closes}"


class Period(Value, frozen=True):
    """Whole days in which no rollout begins, and those under way hold."""

    first: Annotated[Day, Meta(description="The first of them.")] = field(name="from")
    last: Annotated[Day, Meta(description="The last of them.")] = field(name="to")
    reason: Annotated[Text, Meta(min_length=1, max_length=500, description="Why.", examples=["the year's end"])]

    def has(self, day: date) -> bool:
        """Return whether ``day`` is among them."""
        return date.fromisoformat(self.first) <= day <= date.fromisoformat(self.last)


class PublicHolidays(Value, frozen=True):
    """The public holidays of a country: on these days no rollout begins."""

    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$", description="Its two letters, by ISO 3166.", examples=["DE"])]
    subdivision: Annotated[
        str, Meta(pattern=r"^[A-Z0-9]{0,4}$", description="A part of it, by ISO 3166-2.", examples=["BE"])
    ] = ""


class Calendar(Value, frozen=True):
    """When rollouts may begin in an environment. An empty one forbids nothing."""

    zone: Annotated[str, Meta(description="The time zone of all its times, by its IANA name.", examples=["Europe/Berlin"])] = (
        "UTC"
    )
    windows: Annotated[tuple[Window, ...], Meta(description="When rollouts may begin; none: at any time.")] = ()
    holidays: Annotated[PublicHolidays | None, Meta(description="On these days no rollout begins.")] = None
    freezes: Annotated[tuple[Period, ...], Meta(description="Days in which no rollout begins, and those under way hold.")] = ()


class Calendars(Value, frozen=True):
    """The calendars of all environments."""

    calendars: Annotated[dict[Place, Calendar], Meta(description="The calendar of each environment that has one.")]


class Holiday(Value, frozen=True):
    """A public holiday."""

    day: Day
    name: str


def zone_of(calendar: Calendar) -> ZoneInfo:
    """Return its time zone; InvalidInput where there is none of that name."""
    try:
        return ZoneInfo(calendar.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        why = "zones have the names of the IANA database"
        raise InvalidInput(f"there is no time zone {calendar.zone!r}", why=why, next="zone: Europe/Berlin") from error


def minutes(clock: str) -> int:
    """Return the minutes from midnight to ``clock``."""
    hours, _, rest = clock.partition(":")
    return int(hours) * 60 + int(rest)


def next_day(calendar: Calendar, now: datetime, ends: Callable[[date], bool]) -> datetime:
    """Return the first moment after ``now`` of a day that ``ends`` says yes to; the last one looked at where none does."""
    zone = zone_of(calendar)
    day = now.astimezone(zone).date() + timedelta(days=1)
    for _ in range(3700):
        if ends(day):
            break
        day += timedelta(days=1)
    return min(moment for moment in _moments(zone, day, (0,)) if moment.astimezone(zone).date() >= day)


def next_window(calendar: Calendar, now: datetime) -> datetime | None:
    """Return the first moment after ``now`` at which a window is open; None where none ever is."""
    zone, opening = zone_of(calendar), sorted({minutes(window.opens) for window in calendar.windows})
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=offset) for offset in range(-1, _HORIZON))
    # All of them in order: the day before a change has the moment of the change too, which is after the next midnight.
    moments = sorted({moment for day in days for moment in _moments(zone, day, (0, *opening))})
    return next((moment for moment in moments if moment > now and in_window(calendar, moment)), None)


def in_window(calendar: Calendar, now: datetime) -> bool:
    """Return whether a window is open; with no windows it always is."""
    wall = now.astimezone(zone_of(calendar))
    return not calendar.windows or any(window.has(wall) for window in calendar.windows)


def _minute(wall: datetime) -> int:
    return wall.hour * 60 + wall.minute


def _moments(zone: ZoneInfo, day: date, clocks: Iterable[int]) -> Iterator[datetime]:
    """Yield every moment of the local ``day`` at which the clock may come to one of ``clocks``, and where it jumps."""
    for clock in clocks:
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        for fold in (0, 1):
            wall = (midnight + timedelta(minutes=clock)).replace(fold=fold)  # arithmetic of the wall, not of time
            yield wall.astimezone(UTC)
    jump = _jump(zone, day)
    if jump is not None:
        yield jump


def _jump(zone: ZoneInfo, day: date) -> datetime | None:
    """Return when the clock is changed between the noons around the midnight that begins ``day``, and the one that ends it."""
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    early, late = noon - _DAY, noon + _DAY
    before = _offset(zone, early)
    if before == _offset(zone, late):
        return None
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if _offset(zone, middle) == before else (early, middle)
    return datetime.fromtimestamp(late, UTC)


def _offset(zone: ZoneInfo, second: int) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()
