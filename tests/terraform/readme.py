"""The README of a module, made of its code: what the first comments of its files say, its inputs, outputs and resources."""

from pathlib import Path
from typing import Any

from tests.terraform.hcl import Declared, Expression, Module, load, modules

_MADE = "<!-- Made from the code by `python -m tests.terraform.write`; a test fails where it differs. -->"


def readme(folder: Path) -> str:
    """Return the page of a module."""
    module = load(folder)
    parts = [f"# {folder.name}", _MADE, *_said(folder), "## Inputs", _inputs(module), "## Outputs", _outputs(module)]
    if module.resources:
        parts += ["## Resources", _resources(module)]
    calls = module.of("module")
    if calls:
        parts += [
            "## Modules",
            _table("| Module | Made from |", [f"| `{n}` | `{c.body['source']}` |" for n, c in calls.items()]),
        ]
    if (folder / "tests").is_dir():
        parts.append("`terraform test` runs the claims in `tests/`; they need no cloud.")
    return "\n\n".join(parts) + "\n"


def readmes(tree: Path) -> dict[Path, str]:
    """Return the page of every module of a tree, by where it belongs."""
    return {folder / "README.md": readme(folder) for folder in modules(tree)}


def _said(folder: Path) -> list[str]:
    """Return what each file says of itself before its first block; the main file first."""
    paths = sorted(folder.glob("*.tf"), key=lambda path: (path.name != "main.tf", path.name))
    return [said for path in paths if (said := _opening(path.read_text("utf-8")))]


def _opening(text: str) -> str:
    lines = text.splitlines()
    end = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    # A comment that stands directly on a block is about that block.
    if end < len(lines) and lines[end]:
        return ""
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])


def _table(header: str, rows: list[str]) -> str:
    return "\n".join([header, "|" + "---|" * (header.count("|") - 1), *rows])


def _inputs(module: Module) -> str:
    rows = [
        f"| `{name}` | `{_written(block.body['type'])}` | {_default(block)} | {block.body['description']} |"
        for name, block in sorted(module.of("variable").items())
    ]
    return _table("| Name | Type | Default | What it is |", rows)


def _default(block: Declared) -> str:
    return f"`{_written(block.body['default'])}`" if "default" in block.body else "required"


def _outputs(module: Module) -> str:
    rows = [f"| `{name}` | {block.body['description']} |" for name, block in sorted(module.of("output").items())]
    return _table("| Name | What it is |", rows)


def _resources(module: Module) -> str:
    rows = [
        f"| `{kind}.{name}` | {_many(block)} | `{block.place().rsplit('/', 1)[1].split(':')[0]}` |"
        for (_, kind, name), block in sorted(module.resources.items())
    ]
    return _table("| Resource | How many | File |", rows)


def _many(block: Declared) -> str:
    for key, words in (("for_each", "one for each of"), ("count", "by")):
        if key in block.body:
            return f"{words} `{_written(block.body[key])}`"
    return "one"


def _written(value: Any) -> str:
    """Return a value as HCL on one line."""
    match value:
        case Expression():
            return value.removeprefix("${").removesuffix("}").replace("|", "\\|")
        case dict():
            return "{ " + ", ".join(f"{key} = {_written(inner)}" for key, inner in value.items()) + " }" if value else "{}"
        case list():
            return "[" + ", ".join(_written(inner) for inner in value) + "]"
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case str():
            return value if value in ("string", "number", "bool", "any") else f'"{value}"'
    return str(value)
