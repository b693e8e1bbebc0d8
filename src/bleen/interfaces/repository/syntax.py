"""YAML's own complaints, in the words of someone who wants to mend the file."""

import re
from typing import Any, NamedTuple

import yaml

from bleen.interfaces.repository.problem import Problem

_PLACEHOLDER = re.compile(r"(?:^|[\s,\[])(\{(?:address|port|app|files)\})")


class _Complaint(NamedTuple):
    said: str
    """A part of what the scanner says."""
    what: str
    why: str
    instead: str
    at_opening: bool = False
    """The place to mend is where the thing begins, not where the scanner gave up."""


# First match wins.
_KNOWN = (
    _Complaint("'\\t'", "a tab is used for indentation", "YAML allows only spaces there", "two spaces for each level"),
    _Complaint(
        "second colon",
        "a value holds a colon and a space",
        "it reads as a second key on the same line",
        'the value in quotes: `key: "text: more text"`',
    ),
    _Complaint(
        "mapping values are not allowed",
        "no key may stand here",
        "it is indented more than its neighbours, or the line above lacks its colon",
        "the same number of spaces as the keys beside it",
    ),
    _Complaint(
        "could not find expected ':'",
        "a key without a colon and a space",
        "a line that is no list item must read `key: value`",
        "`key: value`, with a space after the colon",
        True,
    ),
    _Complaint("while scanning a quoted scalar", "a quote is opened here and never closed", "", "the closing quote", True),
    _Complaint(
        "while parsing a flow",
        "a bracket is opened here and not closed, or a comma is missing",
        "in brackets, texts that hold brackets or commas need quotes",
        '`[a, b]`, `{a: b}` or `["{app}/server.py"]`',
        True,
    ),
    _Complaint(
        "did not find expected '-' indicator",
        "a line without a dash in the middle of a list",
        "each item of a list begins with `- `, all in the same column",
        "`- item`",
    ),
    _Complaint(
        "block collection",
        "this line is indented unlike the ones beside it",
        "keys of one map, and items of one list, begin in the same column",
        "the same number of spaces as the line above it",
    ),
    _Complaint(
        "did not find expected key",
        "text stands here where only a new key may",
        "a quoted text ended before it, or the line is indented wrongly",
        'quotes around the whole value: `"it\'s"`',
    ),
    _Complaint("did not find expected node content", "a bracket or comma stands alone", "", "the value, or nothing"),
    _Complaint(
        "cannot start any token",
        "a value begins with a character that has a meaning in YAML",
        "`@`, `` ` `` and `%` cannot begin a plain text",
        "the value in quotes",
    ),
    _Complaint("found unknown escape", "an unknown escape in double quotes", "", "single quotes, or `\\\\` for a backslash"),
    _Complaint("nested too deeply", "the file is nested too deeply", "a service file needs five levels", "fewer levels"),
)


def syntax_problem(error: yaml.YAMLError, file: str, text: str) -> Problem:
    """Return what ``error`` means, at the place to mend."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return _unprintable(error, file, text)
    mark: Any = error.problem_mark or error.context_mark
    written = [*text.splitlines(), ""][mark.line] if mark.line <= text.count("\n") else ""
    if bare := _PLACEHOLDER.search(written):
        why = "YAML reads bare braces as a map"
        return Problem(file, mark.line + 1, bare.start(1) + 1, f"`{bare[1]}` must be in quotes", why, f'"{bare[1]}"')
    said = _said(error, written)
    for known in _KNOWN:
        if known.said in said:
            at: Any = error.context_mark if known.at_opening and error.context_mark else mark
            return Problem(file, _line(at, text), at.column + 1, known.what, known.why, known.instead)
    return Problem(file, _line(mark, text), mark.column + 1, "this is not YAML", said.strip())


def _line(mark: Any, text: str) -> int:
    """Return the line of ``mark``: the last one where the scanner gave up beyond it."""
    line: int = mark.line + 1
    return min(line, max(1, len(text.splitlines())))


def _said(error: yaml.MarkedYAMLError, written: str) -> str:
    said = f"{error.context or ''} {error.problem or ''}"
    mark: Any = error.problem_mark
    if _indented_by_tab(written):
        return "'\\t'"
    if "mapping values" in said and ": " in written[: mark.column]:
        return "second colon"
    return said


def _indented_by_tab(line: str) -> bool:
    return "\t" in line[: len(line) - len(line.lstrip())]


def _unprintable(error: yaml.YAMLError, file: str, text: str) -> Problem:
    """A control character: YAML's reader gives its code, and no line."""
    found = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if not found:
        return Problem(file, 0, 0, "this is not YAML", str(error))
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    why = f"U+{ord(found[0]):04X} is a control character, and not text"
    return Problem(file, line, column, "the file holds a character that cannot be seen", why, "the line again, by hand")
