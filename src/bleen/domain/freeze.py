"""Freezes: why an environment takes no new rollouts now, and until when."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated

from msgspec import Meta

from bleen.domain.calendar import Calendar, Holiday, in_window, next_day, next_window, zone_of
from bleen.domain.codec import Value
from bleen.domain.errors import Frozen, InvalidInput

Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Why, in one line.",
        examples=["the database moves"],
    ),
]
_LONGEST_CHAIN = 2000
"""Reasons that may follow one another until the environment opens: five years of holidays and freezes."""


class Freeze(Value, frozen=True):
    """Somebody froze an environment."""

    reason: str
    by: str
    since: datetime
    until: datetime | None = None
    """None: until somebody thaws it."""


class Times(Value, frozen=True):
    """What an environment goes by."""

    calendar: Calendar = Calendar()
    holidays: tuple[Holiday, ...] = ()
    """Those of the calendar's country, as far as they were known when it was set."""
    freeze: Freeze | None = None
    """The last one that nobody thawed; it may be over."""


class Closed(Value, frozen=True):
    """An environment takes no new rollouts."""

    why: str
    until: datetime | None
    """When this reason ends; None: when somebody says so. Another reason may follow it."""
    holds: bool
    """Whether rollouts under way hold, too, once their step is done."""


Row = Callable[[Times, datetime], Closed | None]


def closed(times: Times, now: datetime) -> Closed | None:
    """Return why no rollout may begin; None where one may. The first row that has an answer gives it."""
    return next((found for row in ROWS if (found := row(times, now)) is not None), None)


def opens(times: Times, now: datetime) -> datetime | None:
    """Return the first moment from ``now`` on at which a rollout may begin; None where nobody knows."""
    moment: datetime | None = now
    for _ in range(_LONGEST_CHAIN):
        shut = closed(times, moment) if moment is not None else None
        if shut is None:
            return moment
        moment = shut.until
    return None


def in_force(times: Times, now: datetime) -> Freeze | None:
    """Return the freeze that somebody began, where it is not over."""
    freeze = times.freeze
    return freeze if freeze is not None and (freeze.until is None or now < freeze.until) else None


def check_calendar(calendar: Calendar) -> None:
    """Refuse a calendar that cannot be meant: InvalidInput."""
    zone_of(calendar)
    for window in calendar.windows:
        if window.opens == window.closes or window.opens == "24:00":
            what = f"the window {window} is never open"
            raise InvalidInput(what, why="it closes when it opens", next='write for example from: "09:00", to: "16:00"')
    for period in calendar.freezes:
        for day in (period.first, period.last):
            _real_day(day)
        if period.last < period.first:
            what = f"the freeze from {period.first} to {period.last} ends before it begins"
            raise InvalidInput(what, next="write the earlier day after from")


def refuse_closed(times: Times, environment: str, now: datetime, verb: str = "deploy") -> None:
    """Refuse to begin a rollout, or a removal, where none may begin: Frozen, which says when one may."""
    shut = closed(times, now)
    if shut is None:
        return
    at = opens(times, now)
    when = f"it opens at {at.astimezone(zone_of(times.calendar)):%Y-%m-%d %H:%M %Z}" if at else "nobody has said until when"
    raise Frozen(
        f"{environment} takes no {'removals' if verb == 'remove' else 'new rollouts'} now",
        why=f"{shut.why}; {when}",
        next=f"wait; or an approver: bleen {verb} --override-freeze REASON. Abort and rollback work as ever",
    )


def _real_day(day: str) -> None:
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise InvalidInput(f"there is no day {day}", next="write a day that there is, such as 2026-12-18") from error


# ---- the rows ----


def _frozen(times: Times, now: datetime) -> Closed | None:
    freeze = in_force(times, now)
    if freeze is None:
        return None
    return Closed(f"frozen by {freeze.by}: {freeze.reason}", freeze.until, holds=True)


def _in_period(times: Times, now: datetime) -> Closed | None:
    calendar = times.calendar
    today = now.astimezone(zone_of(calendar)).date()
    period = next((one for one in calendar.freezes if one.has(today)), None)
    if period is None:
        return None
    until = next_day(calendar, now, lambda day: not period.has(day))
    return Closed(f"frozen from {period.first} to {period.last}: {period.reason}", until, holds=True)


def _on_holiday(times: Times, now: datetime) -> Closed | None:
    today = now.astimezone(zone_of(times.calendar)).date().isoformat()
    holiday = next((one for one in times.holidays if one.day == today), None)
    if holiday is None:
        return None
    until = next_day(times.calendar, now, lambda day: True)
    return Closed(f"{holiday.day} is a holiday: {holiday.name}", until, holds=False)


def _outside_windows(times: Times, now: datetime) -> Closed | None:
    calendar = times.calendar
    if in_window(calendar, now):
        return None
    windows = "; ".join(map(str, calendar.windows))
    return Closed(f"outside its windows ({windows} {calendar.zone})", next_window(calendar, now), holds=False)


ROWS: tuple[Row, ...] = (_frozen, _in_period, _on_holiday, _outside_windows)
