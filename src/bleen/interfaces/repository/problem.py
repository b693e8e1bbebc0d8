"""What is wrong with a file, as a value; rendered at the edge."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput


class Severity(StrEnum):
    """Whether a problem stops a deployment."""

    ERROR = "error"
    WARNING = "warning"


class Problem(Value, frozen=True):
    """One thing that is wrong in one place."""

    file: str
    line: int
    """From 1; 0 where the file as a whole is meant."""
    column: int
    what: str
    """One sentence without a final stop."""
    why: str = ""
    instead: str = ""
    """What to write."""
    severity: Severity = Severity.ERROR

    @property
    def where(self) -> str:
        """Return ``file:line``, as editors and terminals make it a link."""
        return f"{self.file}:{self.line}" if self.line else self.file


class InvalidFiles(InvalidInput):
    """Files that people wrote are wrong; ``problems`` names every place, its text is the first and the count."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        advice = f"write: {first.instead}" if first.instead else ""
        super().__init__(first.what + more, why=first.why, next=advice or "bleen validate", where=first.where)
        self.problems = tuple(problems)


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that stop a deployment."""
    return [p for p in problems if p.severity is Severity.ERROR]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem once, by file and line."""
    return sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.what))


def render(problem: Problem, folder: Path | None = None) -> str:
    """Return ``file:line: what`` with its reason and what to write; paths below ``folder`` are shown relative to it."""
    place = problem.where
    if folder and Path(problem.file).is_relative_to(folder):
        place = place.removeprefix(f"{folder}/")
    mark = "warning: " if problem.severity is Severity.WARNING else ""
    lines = [f"{place}: {mark}{problem.what}"]
    lines += _block("why", problem.why) + _block("write", problem.instead)
    return "\n".join(lines)


def _block(label: str, text: str) -> list[str]:
    """Return ``text`` behind its label, further lines below the first."""
    if not text:
        return []
    first, *rest = text.splitlines()
    return [f"  {label}: {first}", *(" " * (len(label) + 4) + line for line in rest)]
