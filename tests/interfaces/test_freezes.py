"""Freezes and calendars, from the command line to the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bleen.domain.calendar import Calendar, Period, PublicHolidays, Window
from bleen.domain.command import Exempt
from bleen.domain.duration import seconds
from bleen.domain.errors import Forbidden, Frozen, InvalidInput, NothingToDo
from bleen.domain.ledger import CalendarSet, EnvironmentFrozen, EnvironmentThawed, FreezeOverridden, Query
from bleen.domain.rollout import Promoted
from bleen.domain.service import BlueGreen
from bleen.interfaces.client import Client
from bleen.interfaces.repository import validate_path
from bleen.interfaces.views import CalendarOrder, FreezeOrder, GoBackOrder, RetryOrder, ThawOrder
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import Estate
from tests.interfaces.test_access import Maker, holder, make  # noqa: F401
from tests.interfaces.test_api import request, settled, until

Holder = Callable[[str], Client]
FAIR = FreezeOrder("ada", "a fair")
CALENDARS = """\
calendars:
  dev:
    zone: Europe/Berlin
    windows:
      - {days: [mon, tue, wed, thu], from: "09:00", to: "16:00"}
    holidays: {country: DE, subdivision: BE}
    freezes:
      - {from: 2026-12-18, to: 2027-01-06, reason: the year's end}
"""


def test_a_frozen_environment_takes_no_deployment(client: Client) -> None:
    """409, with who froze it, why and what can be done; after the thaw it does."""
    assert client.freeze("dev", FAIR).closed is not None
    with pytest.raises(Frozen, match="a fair") as refused:
        client.deploy(request())
    assert "--override-freeze" in refused.value.next
    assert client.services("dev").closed is not None
    client.thaw("dev", ThawOrder("ada", "it is over"))
    client.deploy(request())
    assert until(client, settled).history[0].outcome == Promoted()


def test_another_environment_is_not_frozen(client: Client) -> None:
    """Each has its own."""
    client.freeze("production", FAIR)
    assert client.freeze_of("dev").closed is None
    client.deploy(request())


def test_a_freeze_ends_by_itself(client: Client) -> None:
    """And one that would have ended already is refused."""
    client.freeze("dev", FreezeOrder("ada", "a fair", datetime.now(UTC) + timedelta(seconds=0.3)))
    while client.freeze_of("dev").closed is not None:
        pass
    with pytest.raises(NothingToDo, match="nobody froze dev"):
        client.thaw("dev", ThawOrder("ada", "it is over"))
    with pytest.raises(InvalidInput, match="past"):
        client.freeze("dev", FreezeOrder("ada", "a fair", datetime.now(UTC)))


def test_a_rollout_under_way_holds_and_goes_back_when_told(client: Client) -> None:
    """A rollback, of the rollout under way or by a new one, is never held up; another try of it is."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    client.deploy(request("2", strategy=BlueGreen(abort_delay=seconds(0))))
    until(client, settled)
    client.freeze("dev", FAIR)
    client.rollback("dev", "hello", GoBackOrder("ada"))
    until(client, lambda v: v.stable is not None and v.stable.number == 1)
    until(client, lambda v: v.progress is None)
    with pytest.raises(Frozen):
        client.retry("dev", "hello", RetryOrder("ada"))


def test_an_approver_overrides_it_and_everybody_hears_of_it(
    estate: Estate,
    client: Client,
    make: Maker,  # noqa: F811
    holder: Holder,  # noqa: F811
) -> None:
    """A deployer may not; the entry stands before the deployment."""
    client.freeze("dev", FAIR)
    with pytest.raises(Forbidden, match="approver"):
        holder(make("bob", dev="deployer")).deploy(request(), override_freeze="me too")
    assert estate.run(estate.ledger.read(Query(kinds=("freeze-overridden",)))) == ()
    holder(make("grace", dev="approver")).deploy(request(), override_freeze="a hole is open")
    until(client, settled)
    [entry] = estate.run(estate.ledger.read(Query(kinds=("freeze-overridden",))))
    assert (entry.by, entry.service, entry.event) == ("grace", "hello", FreezeOverridden("deploy", "a hole is open"))
    [started] = estate.run(estate.ledger.read(Query(kinds=("rollout-started",))))
    assert entry.sequence < started.sequence and started.event.rollout.exempt == "grace: a hole is open"  # type: ignore[union-attr]
    assert "grace overrode the freeze of dev" in next(n for n in estate.notices.told if n.kind == "freeze-overridden").what


def test_what_a_freeze_holds_goes_on_when_an_approver_says_so(
    estate: Estate,
    client: Client,
    make: Maker,  # noqa: F811
    holder: Holder,  # noqa: F811
) -> None:
    """The command takes the role, and its reason is in the ledger."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    client.deploy(request("2", strategy=BlueGreen(auto_promote=False)))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")
    client.freeze("dev", FAIR)
    from bleen.domain.command import Advance

    client.command("dev", "hello", Advance("ada"))
    held = until(client, lambda v: v.progress is not None and v.progress.rollout.held_since is not None)
    assert held.progress is not None and held.progress.decision is not None
    assert "it goes on when dev opens: frozen by ada: a fair" in held.progress.decision.why
    with pytest.raises(Forbidden, match="approver"):
        holder(make("bob", dev="deployer")).command("dev", "hello", Exempt("x", "me too"))
    holder(make("grace", dev="approver")).command("dev", "hello", Exempt("x", "a hole is open"))
    until(client, settled)
    commands = estate.run(estate.ledger.read(Query(kinds=("commanded",))))
    assert commands[-1].by == "grace" and commands[-1].event.command == Exempt("grace", "a hole is open")  # type: ignore[union-attr]
    assert any(n.kind == "freeze-overridden" for n in estate.notices.told)


def test_a_client_cannot_say_that_it_is_exempt(client: Client) -> None:
    """The controller writes that."""
    from msgspec import structs

    client.freeze("dev", FAIR)
    with pytest.raises(Frozen):
        client.deploy(structs.replace(request(), exempt="eve: why not"))


def test_who_may_freeze_and_thaw(client: Client, make: Maker, holder: Holder) -> None:  # noqa: F811
    """A deployer stops; an approver lets go on; an admin sets the calendar."""
    viewer, deployer, approver = (holder(make("x", dev=role)) for role in ("viewer", "deployer", "approver"))
    with pytest.raises(Forbidden):
        viewer.freeze("dev", FAIR)
    deployer.freeze("dev", FAIR)
    with pytest.raises(Forbidden, match="approver"):
        deployer.thaw("dev", ThawOrder("x", "it is over"))
    approver.thaw("dev", ThawOrder("x", "it is over"))
    with pytest.raises(Forbidden, match="admin"):
        approver.set_calendar("dev", CalendarOrder("x", Calendar()))


def test_a_calendar_is_kept_with_its_holidays(estate: Estate, client: Client) -> None:
    """Five years of them; the same again is no new entry."""
    calendar = Calendar(zone="Europe/Berlin", holidays=PublicHolidays("DE", "BE"))
    view = client.set_calendar("dev", CalendarOrder("ada", calendar))
    client.set_calendar("dev", CalendarOrder("ada", calendar))
    year = datetime.now(UTC).year
    assert view.calendar == calendar
    assert [one.day[:4] for one in view.holidays] == [str(y) for y in range(year, year + 5) for _ in range(2)]
    entries = estate.run(estate.ledger.read(Query(kinds=("calendar-set",))))
    assert [entry.event for entry in entries] == [CalendarSet(calendar, view.holidays)]


@pytest.mark.parametrize(
    ("calendar", "what"),
    [
        (Calendar(zone="Mars/Olympus"), "there is no time zone"),
        (Calendar(holidays=PublicHolidays("XX")), "no holidays of XX are known"),
        (Calendar(freezes=(Period("2027-02-30", "2027-03-01", "x"),)), "there is no day"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_refused(client: Client, calendar: Calendar, what: str) -> None:
    """And the one before it stays."""
    with pytest.raises(InvalidInput, match=what):
        client.set_calendar("dev", CalendarOrder("ada", calendar))
    assert client.freeze_of("dev").calendar == Calendar()


def test_outside_of_its_window_nothing_begins(client: Client) -> None:
    """A window of yesterday's minute is shut."""
    from bleen.domain.calendar import Weekday

    yesterday = list(Weekday)[(datetime.now(UTC) - timedelta(days=2)).weekday()]
    client.set_calendar("dev", CalendarOrder("ada", Calendar(windows=(Window((yesterday,), "09:00", "09:01"),))))
    with pytest.raises(Frozen, match=r"outside its windows .*it opens at"):
        client.deploy(request())


def test_a_freeze_is_typed(estate: Estate, bleen: Bleen) -> None:
    """Frozen, told by status, thawed; and what was typed wrong is refused in words."""
    frozen = bleen("freeze", "dev", "--reason", "the database moves", "--until", "2h")
    assert frozen.code == 0 and "dev takes no new rollouts: frozen by" in frozen.out and "it opens at" in frozen.out
    assert "the database moves" in bleen("status").out
    assert bleen("status", "--json").json["closed"]["holds"] is True
    assert bleen("audit", "--json").json["entries"][0]["why"] == "the database moves"
    assert bleen("thaw", "dev", "--reason", "it has moved").out == "dev takes rollouts\n"
    entries = estate.run(estate.ledger.read(Query(kinds=("environment-frozen", "environment-thawed"))))
    assert [type(entry.event) for entry in entries] == [EnvironmentFrozen, EnvironmentThawed]
    for words, what in (
        (["freeze", "dev"], "--reason"),
        (["freeze", "dev", "--reason", " "], "one line"),
        (["freeze", "dev", "--reason", "x", "--until", "soon"], "no time"),
        (["freeze", "dev", "--reason", "x", "--until", "2026-12-01T09:00"], "every time zone"),
    ):
        refused = bleen(*words)
        assert refused.code == 2 and what in refused.err
    assert bleen("thaw", "dev", "--reason", "again").code == 3


def test_a_calendar_is_applied_from_the_repository(estate: Estate, bleen: Bleen, repository: Path) -> None:
    """From any folder of it; what it says is shown."""
    assert bleen("calendar", "apply").code == 2
    (repository / "infrastructure").mkdir()
    (repository / "infrastructure/calendars.yaml").write_text(CALENDARS)
    assert validate_path(repository) == []
    applied = bleen("calendar", "apply")
    assert applied.code == 0 and "mon,tue,wed,thu 09:00-16:00" in applied.out
    shown = " ".join(bleen("calendar", "show").out.split())
    assert "Europe/Berlin" in shown and "holidays of DE-BE until" in shown
    assert bleen("calendar", "show", "--json").json["calendar"]["zone"] == "Europe/Berlin"
    assert bleen("calendar", "apply", "--json").json["environments"][0]["environment"] == "dev"


@pytest.mark.parametrize(
    ("wrong", "right", "line", "what"),
    [
        ("Europe/Berlin", "Europe/Bremen", 3, "there is no time zone"),
        ('"16:00"', '"09:00"', 5, "never open"),
        ('"16:00"', '"16.00"', 5, "to"),
        ("mon, tue", "monday, tue", 5, "monday"),
        ("2026-12-18", "2026-02-30", 8, "there is no day 2026-02-30"),
        ("2027-01-06", "2025-01-06", 8, "ends before it begins"),
        ("windows:", "window:", 4, "window"),
        ("DE,", "Germany,", 6, "country"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(repository: Path, wrong: str, right: str, line: int, what: str) -> None:
    """Whatever is wrong."""
    (repository / "infrastructure").mkdir()
    path = repository / "infrastructure/calendars.yaml"
    path.write_text(CALENDARS.replace(wrong, right))
    for asked in (path, repository):
        [problem] = [p for p in validate_path(asked) if p.file == str(path)]
        assert problem.line == line and what in f"{problem.what} {problem.why}"
