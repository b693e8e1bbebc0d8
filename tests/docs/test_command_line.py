"""The pages of the command line and of the settings say what the code does."""

import re
from pathlib import Path

import pytest

from bleen import settings
from bleen.interfaces.cli.reference import command_reference, commands

REFERENCE = Path(__file__).parents[2] / "docs/reference"
COMMANDS = dict(commands())
PROMISED = [
    "demo",
    "init",
    "up",
    "down",
    "status",
    "doctor",
    "validate",
    "schema",
    "deploy",
    "promote",
    "pause",
    "resume",
    "abort",
    "retry",
    "rollback",
    "history",
    "explain",
    "logs",
    "instances",
    "scale",
    "remove",
    "audit",
    "audit verify",
    "image verify",
    "image scan",
    "image sbom",
    "azure smoke",
    "image status",
    "image patch",
    "image packer",
    "freeze",
    "thaw",
    "calendar show",
    "calendar apply",
]


def test_the_page_is_what_the_commands_say() -> None:
    """Where it differs: `python -m bleen.interfaces.cli.reference` writes it anew."""
    assert (REFERENCE / "command-line.md").read_text("utf-8") == command_reference()


def test_every_promised_command_is_there() -> None:
    """The contract of the design names them."""
    assert {f"bleen {name}" for name in PROMISED} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_of_itself(name: str) -> None:
    """Its help ends with a line that can be typed."""
    assert f"Example: {name}" in COMMANDS[name].epilog


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_has_a_meaning(name: str) -> None:
    """No option is left to be guessed."""
    assert COMMANDS[name].help
    assert all(parameter.help for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_speak_to_programs(name: str) -> None:
    """Each one has `--json`."""
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


def test_every_variable_that_is_read_is_documented() -> None:
    """A variable cannot be added without its row."""
    read = set(re.findall(r"BLEEN_[A-Z_]+", Path(settings.__file__).read_text("utf-8")))
    page = (REFERENCE / "settings.md").read_text("utf-8")
    assert read
    assert {name for name in read if f"| `{name}` |" not in page} == set()
