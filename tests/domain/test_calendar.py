"""Calendars, by the wall clock: windows, holidays and freezes, also in the nights when the clock is changed."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bleen.domain.calendar import Calendar, Holiday, Period, Weekday, Window, in_window, next_window
from bleen.domain.errors import Frozen, InvalidInput
from bleen.domain.freeze import Closed, Freeze, Times, check_calendar, closed, opens, refuse_closed

BERLIN = "Europe/Berlin"
OFFICE = Window(days=(Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU), opens="09:00", closes="16:00")
CALENDAR = Calendar(
    zone=BERLIN, windows=(OFFICE,), freezes=(Period(first="2026-12-18", last="2027-01-06", reason="the year's end"),)
)
ZONES = ["UTC", BERLIN, "America/New_York", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu"]
"""With changes of the clock at 01:00, 02:00 and midnight, of an hour and of half an hour, and with none."""


def local(text: str, zone: str = BERLIN, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def clock_changes(zone: str, year: int) -> list[datetime]:
    """Return the hours of ``year`` in which the clock of ``zone`` is changed."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(366 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1]]


CHANGES = {zone: clock_changes(zone, 2026) for zone in ZONES}
CLOCKS = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
WINDOWS = st.builds(
    Window,
    days=st.lists(st.sampled_from(list(Weekday)), min_size=1, max_size=7, unique=True).map(tuple),
    opens=CLOCKS,
    closes=st.one_of(CLOCKS, st.just("24:00")),
).filter(lambda window: window.opens != window.closes)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and a minute in it, mostly near a change of its clock."""
    zone = draw(st.sampled_from(ZONES))
    start = draw(st.sampled_from([*CHANGES[zone], datetime(2026, 6, 3, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)]))
    return zone, start + timedelta(minutes=draw(st.integers(-2000, 2000)))


def test_the_zones_of_the_tests_do_change_their_clocks() -> None:
    """Else nothing below would be tested."""
    assert [len(CHANGES[zone]) for zone in ZONES] == [0, 2, 2, 2, 2, 2, 0]


@settings(deadline=None)
@example(
    ("Europe/Berlin", datetime(2026, 3, 28, 22, 59, tzinfo=UTC)), [Window(days=(Weekday.SUN,), opens="00:00", closes="24:00")]
)
@given(moments(), st.lists(WINDOWS, min_size=1, max_size=3))
def test_the_next_window_is_the_first_minute_in_which_one_is_open(moment: tuple[str, datetime], windows: list[Window]) -> None:
    """Found by looking at every minute, whatever the clock does."""
    zone, now = moment
    calendar = Calendar(zone=zone, windows=tuple(windows))
    found = next_window(calendar, now)
    assert found is not None and found > now and in_window(calendar, found)
    minutes = min(int((found - now) / timedelta(minutes=1)), 3000)
    if not in_window(calendar, now):
        assert not any(in_window(calendar, now + timedelta(minutes=n)) for n in range(minutes))


@settings(deadline=None)
@given(moments(), WINDOWS)
def test_a_window_is_what_the_clock_on_the_wall_says(moment: tuple[str, datetime], window: Window) -> None:
    """Told in another way than the code tells it: by text."""
    zone, now = moment
    wall = now.astimezone(ZoneInfo(zone))
    days = [f"{wall - timedelta(days=back):%a}".lower() for back in (0, 1)]
    time = f"{wall:%H:%M}"
    over = window.closes <= window.opens
    today = days[0] in window.days and window.opens <= time and (over or time < window.closes)
    assert in_window(Calendar(zone=zone, windows=(window,)), now) == (
        today or (over and days[1] in window.days and time < window.closes)
    )


@settings(deadline=None)
@given(moments(), st.integers(0, 3), st.integers(0, 3))
def test_a_freeze_of_days_ends_when_the_wall_shows_another_day(moment: tuple[str, datetime], before: int, after: int) -> None:
    """Not 24 hours after it began: that day may have 23, or 25."""
    zone, now = moment
    today = now.astimezone(ZoneInfo(zone)).date()
    first, last = today - timedelta(days=before), today + timedelta(days=after)
    times = Times(Calendar(zone=zone, freezes=(Period(first=str(first), last=str(last), reason="a fair"),)))
    found = closed(times, now)
    assert found is not None and found.holds and found.until is not None
    ends = found.until.astimezone(ZoneInfo(zone))
    assert ends.date() == last + timedelta(days=1)
    assert (found.until - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() <= last


@settings(deadline=None)
@given(moments(), st.lists(WINDOWS, max_size=2), st.integers(0, 2), st.one_of(st.none(), st.integers(1, 5000)))
def test_what_is_closed_opens_at_the_moment_that_is_told_and_not_before(
    moment: tuple[str, datetime], windows: list[Window], holiday: int, frozen: int | None
) -> None:
    """Whatever follows on whatever else."""
    zone, now = moment
    day = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=holiday)
    freeze = Freeze("a fair", "ada", now, now + timedelta(minutes=frozen)) if frozen else None
    times = Times(Calendar(zone=zone, windows=tuple(windows)), (Holiday(str(day), "May Day"),), freeze)
    at = opens(times, now)
    assert at is not None and closed(times, at) is None
    for minute in range(0, min(int((at - now) / timedelta(minutes=1)), 3000), 7):
        assert closed(times, now + timedelta(minutes=minute)) is not None


def test_an_hour_that_summer_time_leaves_out_is_in_no_window_of_that_day() -> None:
    """On 2026-03-29 there is no half past two in Berlin; the window opens a week later."""
    calendar = Calendar(zone=BERLIN, windows=(Window(days=(Weekday.SUN,), opens="02:15", closes="02:45"),))
    assert next_window(calendar, local("2026-03-28T12:00")) == local("2026-04-05T02:15")


def test_an_hour_that_comes_twice_is_in_its_window_twice() -> None:
    """On 2026-10-25 half past two comes twice in Berlin."""
    calendar = Calendar(zone=BERLIN, windows=(Window(days=(Weekday.SUN,), opens="02:15", closes="02:45"),))
    between = local("2026-10-25T02:50")
    assert in_window(calendar, local("2026-10-25T02:30")) and in_window(calendar, local("2026-10-25T02:30", fold=1))
    assert not in_window(calendar, between)
    assert next_window(calendar, between) == local("2026-10-25T02:15", fold=1)


def test_nine_in_the_morning_is_nine_in_the_morning_in_summer_and_in_winter() -> None:
    """In UTC the window moves by an hour."""
    assert next_window(CALENDAR, local("2026-07-06T03:00")) == datetime(2026, 7, 6, 7, tzinfo=UTC)
    assert next_window(CALENDAR, local("2026-11-02T03:00")) == datetime(2026, 11, 2, 8, tzinfo=UTC)


def test_a_planned_freeze_comes_before_the_window_and_the_window_after_it() -> None:
    """The year's end is over on a Thursday at midnight; the window opens at nine."""
    times, now = Times(CALENDAR), local("2026-12-21T10:00")
    assert closed(times, now) == Closed("frozen from 2026-12-18 to 2027-01-06: the year's end", local("2027-01-07T00:00"), True)
    assert opens(times, now) == local("2027-01-07T09:00")


def test_holidays_close_and_do_not_hold() -> None:
    """What is under way goes on over Christmas, as it does over a night."""
    times = Times(Calendar(zone=BERLIN), (Holiday("2026-12-25", "Christmas"), Holiday("2026-12-26", "Boxing Day")))
    found = closed(times, local("2026-12-25T08:00"))
    assert found == Closed("2026-12-25 is a holiday: Christmas", local("2026-12-26T00:00"), False)
    assert opens(times, local("2026-12-25T08:00")) == local("2026-12-27T00:00")


def test_somebodys_freeze_is_told_first_and_ends_by_itself() -> None:
    """At its end, to the second; one without an end stays."""
    now = local("2026-11-30T10:00")
    times = Times(CALENDAR, freeze=Freeze("the database moves", "ada", now, now + timedelta(hours=2)))
    assert closed(times, now) == Closed("frozen by ada: the database moves", now + timedelta(hours=2), True)
    assert closed(times, now + timedelta(hours=2)) is None
    endless = Times(CALENDAR, freeze=Freeze("the database moves", "ada", now))
    assert closed(endless, now + timedelta(days=900)) is not None and opens(endless, now) is None


def test_a_refusal_says_why_until_when_and_what_can_be_done() -> None:
    """In the zone of the calendar."""
    with pytest.raises(Frozen) as refused:
        refuse_closed(Times(CALENDAR), "production", local("2026-12-21T10:00"))
    assert refused.value.what == "production takes no new rollouts now"
    assert "the year's end; it opens at 2027-01-07 09:00 CET" in refused.value.why
    assert "--override-freeze" in refused.value.next
    refuse_closed(Times(CALENDAR), "production", local("2026-12-01T10:00"))


@pytest.mark.parametrize(
    ("calendar", "what"),
    [
        (Calendar(zone="Europe/Bremen"), "there is no time zone 'Europe/Bremen'"),
        (Calendar(zone="../../etc/passwd"), "there is no time zone"),
        (Calendar(zone="Europe"), "there is no time zone"),
        (Calendar(windows=(Window(days=(Weekday.MON,), opens="09:00", closes="09:00"),)), "never open"),
        (Calendar(windows=(Window(days=(Weekday.MON,), opens="24:00", closes="09:00"),)), "never open"),
        (Calendar(freezes=(Period(first="2026-02-30", last="2026-03-01", reason="x"),)), "there is no day 2026-02-30"),
        (Calendar(freezes=(Period(first="2027-01-06", last="2026-12-18", reason="x"),)), "ends before it begins"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_refused(calendar: Calendar, what: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(InvalidInput, match=what.replace("(", r"\(")):
        check_calendar(calendar)


def test_a_day_of_every_zone_ends_where_the_next_begins() -> None:
    """Samoa had no 2011-12-30."""
    calendar = Calendar(zone="Pacific/Apia", freezes=(Period(first="2011-12-29", last="2011-12-30", reason="the date line"),))
    found = closed(Times(calendar), local("2011-12-29T12:00", "Pacific/Apia"))
    assert found is not None and found.until is not None
    assert found.until.astimezone(ZoneInfo("Pacific/Apia")).date() == date(2011, 12, 31)
