"""The composition root: the only package that names concrete providers.

`main` is the `bleen` command. `python -m bleen.app agent` is the host agent, `python -m bleen.app controller` the
controller: `bleen up` starts the first, which starts everything else.
"""


def main() -> None:
    """Run what was typed, and leave with its exit code."""
    try:
        code = _run()
    except KeyboardInterrupt:  # before there was anything to interrupt
        code = 130
    raise SystemExit(code)


def _run() -> int:
    from bleen.app.platform import LocalPlatform
    from bleen.interfaces.cli import run

    return run(LocalPlatform())
