"""The reference of the command line, written from the commands themselves.

``python -m bleen.interfaces.cli.reference`` writes docs/reference/command-line.md; a test fails where the file differs.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bleen.interfaces.cli.app import app

_INTRODUCTION = """\
# The command line

`bleen COMMAND --help` says the same as this page. Without a terminal, commands print plain lines; with one, a live view.
`--json` prints one JSON object instead, errors included. `bleen --install-completion` teaches the shell to complete
commands, options and the names of services. Variables of the environment: [settings](settings.md).

| Exit code | Meaning |
|---|---|
| 0 | Done. |
| 1 | The release failed, or was stopped, and the old one has all traffic. |
| 2 | Wrong usage, an invalid file, or the name of something that is not there. |
| 3 | The platform could not do it; the message says what to do next. |
| 130 | Ctrl-C, or no for an answer. A rollout that was watched goes on. |

"""


def command_reference() -> str:
    """Return docs/reference/command-line.md."""
    return _INTRODUCTION + "\n".join(_section(name, command) for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name, in the order of the help."""
    yield from _below("bleen", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for below, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            if inner.invoke_without_command:
                yield f"{name} {below}", inner
            yield from _below(f"{name} {below}", inner)
        else:
            yield f"{name} {below}", inner


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([name, *(str(a.metavar) for a in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [f"| `{a.metavar}` | {a.help} |" for a in arguments] + [f"| {_spelling(o)} | {o.help} |" for o in options]
    table = ["| | |", "|---|---|", *rows] if rows else []
    examples = inspect.cleandoc(command.epilog).removeprefix("\b\n").replace("Example: ", "").splitlines()
    block = ["```console", *(f"$ {line.strip()}" for line in examples), "```"]
    return "\n".join([f"## `{usage}`", "", inspect.cleandoc(command.help), "", *table, "", *block, ""])


def _spelling(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return f"{names} `{option.metavar}`" if option.metavar and not option.is_flag else names


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference/command-line.md").write_text(command_reference(), "utf-8")
