"""One run of the command line: the platform, where output goes, and how."""

import os
import sys
import textwrap
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from bleen.interfaces.platform import Platform
from bleen.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from bleen.interfaces.client import Client

DETACHED = 130
"""The exit code after Ctrl-C, as shells have it."""


class Session:
    """What every command is given. Commands hold no state of their own."""

    def __init__(self, platform: Platform, *, json: bool = False, out: TextIO | None = None) -> None:
        self.platform = platform
        self.json = json
        self._out = out

    @property
    def settings(self) -> Settings:
        return self.platform.settings

    @property
    def out(self) -> TextIO:
        return self._out or sys.stdout

    @property
    def live(self) -> bool:
        """Whether a person watches: a terminal that can move its cursor, and no ``--json``."""
        return not self.json and self.out.isatty() and os.environ.get("TERM", "") not in ("", "dumb")

    @property
    def width(self) -> int:
        return max(get_terminal_size().columns, 40)

    def environment(self, asked: str | None) -> str:
        """Return the environment that a command means."""
        return asked or self.settings.environment

    @property
    def person(self) -> str:
        """Who types: what the ledger will say."""
        import getpass

        try:
            return getpass.getuser()
        except (KeyError, OSError):  # no such user, as in many containers
            return f"uid {os.getuid()}"

    def client(self, platform: Platform | None = None) -> "Client":
        """Return a client of the server of the platform, or of another one; Unreachable where none runs."""
        from bleen.interfaces.client import Client

        return Client((platform or self.platform).server())

    def console(self) -> "Console":
        """Return a console for live views and coloured lines."""
        from rich.console import Console

        return Console(file=self.out, width=self.width, highlight=False, soft_wrap=False)

    def say(self, text: str = "", indent: str = "") -> None:
        """Print a line, wrapped to the width; further lines stand below ``indent``."""
        width = self.width
        wrapped = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        self.out.write("\n".join(wrapped or [""]) + "\n")
        self.out.flush()

    def say_json(self, value: object) -> None:
        """Print ``value`` as one JSON object."""
        import msgspec

        from bleen.domain.codec import encode

        self.out.write(msgspec.json.format(encode(value), indent=2).decode() + "\n")
        self.out.flush()

    def table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Print aligned columns; what goes beyond the width of a terminal ends in an ellipsis."""
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self.out.write((line if len(line) <= self.width else line[: self.width - 1] + "…") + "\n")
        self.out.flush()
