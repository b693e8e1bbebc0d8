"""Terraform files as values: what each module declares, calls and hands out."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import msgspec

TERRAFORM = Path(__file__).parents[2] / "examples/infrastructure/terraform"


class Expression(str):
    """What is computed, as it is written; every other string in a body is a literal."""


class Declared(msgspec.Struct, frozen=True):
    """One block at the top of a file: ``resource "kind" "name" {...}``."""

    type: str
    labels: tuple[str, ...]
    body: dict[str, Any]
    file: Path
    line: int

    @property
    def name(self) -> str:
        """Return the last label: what it is called by."""
        return self.labels[-1] if self.labels else self.type

    def place(self, key: str = "") -> str:
        """Return ``file:line`` of the block, or of the first line in it that sets ``key``."""
        lines = self.file.read_text("utf-8").splitlines()[self.line - 1 :]
        pattern = re.compile(rf'\s*(dynamic\s+")?{re.escape(key)}"?\s*[={{]') if key else re.compile("")
        offset = next((n for n, line in enumerate(lines) if pattern.match(line)), 0)
        return f"{self.file}:{self.line + offset}"


class Module(msgspec.Struct, frozen=True):
    """One folder of files."""

    folder: Path
    declared: tuple[Declared, ...]

    def of(self, type: str) -> dict[str, Declared]:
        """Return what it declares of a type, by name."""
        return {block.name: block for block in self.declared if block.type == type}

    @property
    def resources(self) -> dict[tuple[str, str, str], Declared]:
        """Return resources and data sources, by mode, kind and name."""
        found = [block for block in self.declared if block.type in ("resource", "data")]
        return {(block.type, *block.labels): block for block in found}  # type: ignore[misc]

    @property
    def locals(self) -> dict[str, Any]:
        """Return the local values."""
        return {
            name: value
            for block in self.declared
            if block.type == "locals"
            for name, value in block.body.items()
            if name != "__is_block__"
        }


def load(folder: Path) -> Module:
    """Return the module of a folder."""
    return Module(
        folder, tuple(block for path in sorted(folder.glob("*.tf")) for block in _read(path, path.read_text("utf-8")))
    )


def modules(tree: Path = TERRAFORM) -> list[Path]:
    """Return the folders that others call."""
    return sorted(path for path in (tree / "modules").iterdir() if path.is_dir())


def roots(tree: Path = TERRAFORM) -> list[Path]:
    """Return the folders that are applied: the environments and the bootstrap."""
    return [*sorted(path for path in (tree / "environments").iterdir() if path.is_dir()), tree / "bootstrap"]


def _read(path: Path, text: str) -> tuple[Declared, ...]:
    return tuple(_blocks(path, _parsed(text), text))


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Return the tree of a text: parsing takes most of the time, and copies of a file are the same text."""
    tree: dict[str, Any] = hcl2.loads(text)
    return tree


def _blocks(path: Path, tree: dict[str, Any], text: str) -> Iterator[Declared]:
    for type, blocks in tree.items():
        for found in blocks if isinstance(blocks, list) else []:
            if isinstance(found, dict):
                labels, body = _labels(found)
                yield Declared(type, labels, _plain(body), path, _line(text, type, labels))


def _labels(block: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    labels: tuple[str, ...] = ()
    while "__is_block__" not in block and len(block) == 1 and next(iter(block)).startswith('"'):
        label, block = next(iter(block.items()))
        labels += (label.strip('"'),)
    return labels, block


def _line(text: str, type: str, labels: tuple[str, ...]) -> int:
    header = re.compile(rf"^{type}\s*" + "".join(rf'"{re.escape(label)}"\s*' for label in labels) + r"\{", re.M)
    found = header.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _plain(value: Any) -> Any:
    """Return literals as what they are, and all that is computed as an Expression."""
    match value:
        case dict():
            return {key.strip('"'): _plain(inner) for key, inner in value.items() if key != "__comments__"}
        case list():
            return [_plain(inner) for inner in value]
        case str() if value.startswith('"') and value.endswith('"') and "${" not in value:
            return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        case str():
            return Expression(value)
    return value


def nested(value: Any) -> bool:
    """Return whether a value in a body is a list of blocks, and no argument."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "__is_block__" in item for item in value)


def inner(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the blocks directly inside a body, those that a ``dynamic`` block makes among them."""
    for key, value in body.items():
        if key == "dynamic":
            yield from ((name, made["content"][0]) for item in value for name, made in item.items())
        elif nested(value):
            yield from ((key, item) for item in value)
