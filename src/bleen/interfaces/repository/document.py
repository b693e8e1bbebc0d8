"""YAML as a tree in which every value knows its line. YAML is known here and in ``syntax.py``, and nowhere else.

The dialect is deliberately small: the scalars of YAML 1.2's core schema (``no`` is text, ``1.10`` a number), one document, no
anchors, no tags. A file that says one thing to a person says the same to Bleen, and nothing in it can grow when read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bleen.interfaces.repository.problem import Problem
from bleen.interfaces.repository.syntax import syntax_problem

LARGEST = 1024 * 1024
DEEPEST = 32

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = re.compile(r"|~|null|Null|NULL")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value and the text that spells it."""

    line: int
    column: int
    text: str
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    column: int
    items: list["Node"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values, in order; a key stands in it once."""

    line: int
    column: int
    entries: dict[str, Entry]
    inline: bool = False
    """Written ``{a: b}``."""

    def get(self, key: str) -> "Node | None":
        """Return the value of ``key``."""
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Scalar | Items | Mapping


@dataclass(slots=True)
class Document:
    """What a file says; ``root`` is None where it cannot be read at all."""

    file: str
    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)

    def problem(self, place: "Node | None", what: str, *, why: str = "", instead: str = "") -> Problem:
        """Return a problem at ``place``."""
        line, column = (place.line, place.column) if place else (0, 0)
        return Problem(self.file, line, column, what, why, instead)


def read_document(path: Path) -> Document:
    """Return what ``path`` says, with everything that keeps it from being read."""
    document = Document(str(path))
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        document.problems.append(document.problem(None, f"the file cannot be read: {(error.strerror or str(error)).lower()}"))
        return document
    return parse_document(data, str(path))


def parse_document(data: bytes, file: str) -> Document:
    """Return what ``data`` says."""
    document = Document(file)
    problem = _unreadable(data, file)
    if problem is None:
        try:
            document.root = _Tree(document, data.decode("utf-8-sig")).read()
        except yaml.YAMLError as error:
            problem = syntax_problem(error, file, data.decode("utf-8-sig"))
    if problem:
        document.problems.append(problem)
    return document


def plain_value(node: Node) -> Any:
    """Return ``node`` as dicts, lists, strings and numbers."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain_value(item) for item in node.items]
        case Mapping():
            return {entry.key.value: plain_value(entry.value) for entry in node.entries.values()}


def spell(value: object) -> str:
    """Return ``value`` on one line of YAML; empty for an empty text."""
    if value == "":
        return ""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).strip()
    return re.sub(r"'([^'\"\\]*)'", r'"\1"', text.removesuffix("...").strip())


def locate(root: Node, *steps: str) -> Node:
    """Return the node at ``health``, ``interval`` or ``hosts``, ``1``; the nearest one above it where there is none."""
    node = root
    for step in steps:
        below: Node | None = None
        if isinstance(node, Mapping):
            below = node.get(step)
        elif isinstance(node, Items) and step.isdigit() and int(step) < len(node.items):
            below = node.items[int(step)]
        if below is None:
            return node
        node = below
    return node


def _unreadable(data: bytes, file: str) -> Problem | None:
    if len(data) > LARGEST:
        why = "a service file has a few dozen lines; data belongs in the image, configuration in `files`"
        return Problem(file, 0, 0, f"the file is larger than {LARGEST // 1024} KiB", why)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        why = f"byte 0x{data[error.start]:02x} is not UTF-8"
        return Problem(file, line, column, "the file is not UTF-8 text", why, "save the file again with the encoding UTF-8")
    if not text.strip() or all(line.lstrip().startswith("#") or not line.strip() for line in text.splitlines()):
        return Problem(file, 0, 0, "the file is empty", "", "`bleen init` writes an example to start from")
    return None


class _Tree:
    """Builds the tree from YAML's events, so that depth, anchors and doubled keys are met before anything grows."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_Loader))

    def read(self) -> Node | None:
        next(self.events)  # the start of the stream
        if not isinstance(next(self.events), yaml.DocumentStartEvent):
            return None
        root = self._node(next(self.events), 0)
        next(self.events)  # the end of the document
        second = next(self.events)
        if isinstance(second, yaml.DocumentStartEvent):
            self._refuse(second, "a second document begins here", "a file holds one service", "one file for each service")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        self._refuse_sharing(event)
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(line, column, self._items(depth))
        if isinstance(event, yaml.MappingStartEvent):
            return Mapping(line, column, self._entries(depth), bool(event.flow_style))
        if isinstance(event, yaml.AliasEvent):
            return Scalar(line, column, f"*{event.anchor}", "")
        return Scalar(line, column, event.value, _value(event))

    def _items(self, depth: int) -> list[Node]:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _entries(self, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, value = self._node(event, depth + 1), self._node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                self._refuse(event, "a list or a map stands where a key must", "a key is a single word", "")
            elif key.text in entries:
                first = entries[key.text].key.line
                why = f"it is on line {first} too, and only one of them could count"
                self._refuse(event, f"`{key.text}` is written twice", why, "one of the two lines, not both")
            else:
                entries[key.text] = Entry(key, value)
        return entries

    def _refuse_sharing(self, event: Any) -> None:
        if getattr(event, "anchor", None):
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            why = "a service file has no anchors and aliases, so that each line says what it says"
            self._refuse(event, f"`{sign}{event.anchor}` is an anchor", why, "the value itself, in each place")
        tag = getattr(event, "tag", None)
        if tag:
            self._refuse(event, f"`{tag}` is a tag", "a service file has no YAML tags", "the value without it")

    def _refuse(self, event: Any, what: str, why: str, instead: str) -> None:
        mark = event.start_mark
        self.document.problems.append(Problem(self.document.file, mark.line + 1, mark.column + 1, what, why, instead))


def _value(event: Any) -> str | int | float | bool | None:
    """Return the value of a scalar by YAML 1.2's core schema; a quoted one is text."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(text) else text
