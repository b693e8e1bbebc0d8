"""The one place where errors are told: what, why, and what to do next."""

import sys
import textwrap
from pathlib import Path
from typing import Any

from bleen.domain.errors import BleenError
from bleen.interfaces.cli.session import Session
from bleen.interfaces.problem import exit_code, problem_of


def tell(session: Session, error: BleenError) -> int:
    """Tell ``error`` to a person, or with ``--json`` to a program; return the exit code."""
    code = exit_code(error)
    if session.json:
        from msgspec import to_builtins

        session.say_json({"error": to_builtins(problem_of(error)), "exit_code": code})
    else:
        sys.stderr.write("\n".join(_lines(error, session.width)) + "\n")
    return code


def _lines(error: BleenError, width: int) -> list[str]:
    problem = problem_of(error)
    where = f"{problem.where.removeprefix(f'{Path.cwd()}/')}: " if problem.where else ""
    blocks = [("error: ", where + problem.what), ("  why: ", problem.why), (" next: ", problem.next)]
    return [line for label, text in blocks if text for line in _block(label, text, width)]


def _block(label: str, text: str, width: int) -> list[str]:
    """Return ``text`` behind ``label``, its own line ends kept."""
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": " " * len(label)}
    first, *rest = text.splitlines()
    lines = textwrap.wrap(label + first, width, **options)
    for line in rest:
        lines += textwrap.wrap(line, width, initial_indent=" " * len(label), **options)
    return lines
