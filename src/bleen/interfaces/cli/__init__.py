"""The command line. Every command imports what it needs when it runs, so that typing one is quick."""

from collections.abc import Sequence

from bleen.interfaces.platform import Platform

__all__ = ["run"]


def run(platform: Platform, arguments: Sequence[str] | None = None) -> int:
    """Run what was typed on ``platform``; return the exit code."""
    from bleen.interfaces.cli.app import run as run_app

    return run_app(platform, arguments)
