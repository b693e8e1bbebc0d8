"""Ways to break a module: each changes one line of one file, as a slip of the hand would."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.terraform.hcl import Declared, Expression, inner, load
from tests.terraform.rules import RULES
from tests.terraform.schema import Schema


class Mutation(msgspec.Struct, frozen=True):
    """One file as it is after the slip, and the number of its line."""

    file: Path
    line: int
    text: str


def renamed(folder: Path, schema: Schema) -> Mutation | None:
    """An argument under another name."""
    for block, key in _arguments(folder):
        return _changed(block, key, lambda line, key=key: line.replace(key, f"{key}_too", 1))  # type: ignore[misc]
    return None


def dropped(folder: Path, schema: Schema) -> Mutation | None:
    """A required argument, or a required input of a module, left out."""
    for block, key in _arguments(folder):
        if key in _required(folder, block, schema) and not isinstance(block.body[key], dict | list):
            return _changed(block, key, lambda _: "")
    return None


def dangling(folder: Path, schema: Schema) -> Mutation | None:
    """A reference to something that is not declared."""
    for block, key in _arguments(folder):
        if isinstance(block.body[key], Expression) and "var." in block.body[key]:
            found = _changed(block, key, lambda line: line.replace("var.", "var.no_", 1))
            if found.text != found.file.read_text("utf-8"):
                return found
    return None


def wrong(folder: Path, schema: Schema) -> Mutation | None:
    """A word that Azure does not know, or a number beyond what it takes."""
    for block in _blocks(folder):
        for rule in RULES:
            if block.type != "resource" or rule.kind != block.labels[0]:
                continue
            *path, key = rule.path.split(".")
            for value in _literals(block.body, path, key):
                found = _changed(block, key, lambda line: re.sub(r"=.*", '= "Wrong"' if '"' in line else "= -7", line), value)
                if found.text != found.file.read_text("utf-8"):
                    return found
    return None


ALL: dict[str, Callable[[Path, Schema], Mutation | None]] = {
    "renamed": renamed,
    "dropped": dropped,
    "dangling": dangling,
    "wrong": wrong,
}


def _blocks(folder: Path) -> Iterator[Declared]:
    yield from (block for block in load(folder).declared if block.type in ("resource", "module"))


def _arguments(folder: Path) -> Iterator[tuple[Declared, str]]:
    for block in _blocks(folder):
        for key in block.body:
            if key not in ("for_each", "count", "source", "depends_on", "lifecycle", "dynamic", "__is_block__"):
                yield block, key


def _required(folder: Path, block: Declared, schema: Schema) -> set[str]:
    if block.type == "module":
        inputs = load(folder / block.body["source"]).of("variable")
        return {name for name, variable in inputs.items() if "default" not in variable.body}
    known = schema.resources[block.labels[0]]
    return {name for name, argument in known.arguments.items() if argument.required}


def _literals(body: dict[str, Any], path: list[str], key: str) -> Iterator[Any]:
    if path:
        for name, block in inner(body):
            if name == path[0]:
                yield from _literals(block, path[1:], key)
    elif isinstance(body.get(key), str | int) and not isinstance(body[key], Expression | bool):
        yield body[key]


def _changed(block: Declared, key: str, change: Callable[[str], str], value: Any = None) -> Mutation:
    """Return the file with the first line of the block changed that sets the key, to the value where one is named."""
    text = block.file.read_text("utf-8")
    lines = text.splitlines(keepends=True)
    pattern = rf"\s*{re.escape(key)}\s*=" + ("" if value is None else rf'\s*"?{re.escape(str(value))}"?\s*$')
    at = next((n for n in range(block.line, len(lines)) if re.match(pattern, lines[n])), None)
    if at is None:
        return Mutation(block.file, block.line, text)
    lines[at] = change(lines[at].rstrip("\n")) + "\n"
    return Mutation(block.file, at + 1, "".join(lines))
