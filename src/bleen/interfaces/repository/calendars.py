"""``infrastructure/calendars.yaml``: when rollouts may begin in which environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import structs

from bleen.domain.calendar import Calendar, Calendars
from bleen.domain.codec import convert
from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.freeze import check_calendar
from bleen.interfaces.repository.document import Document, plain_value, read_document
from bleen.interfaces.repository.problem import InvalidFiles, Problem
from bleen.interfaces.repository.sense import line_of
from bleen.interfaces.repository.shape import mismatches

CALENDARS = Path("infrastructure/calendars.yaml")


def load_calendars(start: Path) -> Mapping[str, Calendar]:
    """Return the calendars of a file, or of the repository around a folder; NotFound, or InvalidFiles with every problem."""
    path = start if start.is_file() else _find(start.absolute())
    found, problems = examine_calendars(path)
    if found is None or problems:
        raise InvalidFiles(problems)
    return found.calendars


def examine_calendars(path: Path) -> tuple[Calendars | None, list[Problem]]:
    """Return the calendars, if their file has the right shape, and every problem of it."""
    document = read_document(path)
    problems = [*document.problems, *mismatches(document, Calendars)]
    if problems or document.root is None:
        return None, problems
    found: Calendars = convert(plain_value(document.root), Calendars)
    return found, [problem for place, calendar in found.calendars.items() for problem in _impossible(document, place, calendar)]


def _find(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / CALENDARS).is_file():
            return folder / CALENDARS
    raise NotFound(f"there is no {CALENDARS} in {start}", why="nor in a folder above it", next="bleen schema calendars")


def _impossible(document: Document, place: str, calendar: Calendar) -> Iterator[Problem]:
    """Yield what the domain says to each part of a calendar, at its line."""
    parts: list[tuple[tuple[str, ...], Calendar]] = [(("zone",), Calendar(zone=calendar.zone))]
    bare = Calendar()
    parts += [(("windows", str(i)), structs.replace(bare, windows=(w,))) for i, w in enumerate(calendar.windows)]
    parts += [(("freezes", str(i)), structs.replace(bare, freezes=(f,))) for i, f in enumerate(calendar.freezes)]
    for steps, part in parts:
        try:
            check_calendar(part)
        except InvalidInput as error:
            line = line_of(document, "calendars", place, *steps)
            yield Problem(str(document.file), line, 1, error.what, error.why, error.next)
