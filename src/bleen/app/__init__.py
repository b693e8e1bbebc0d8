"""The composition root: the only package that names concrete providers.

`main` is the `bleen` command. `python -m bleen.app.agent` is the host agent, `python -m bleen.app.controller` the
controller: `bleen up` starts the first, which starts everything else.
"""


def main() -> None:
    """Run what was typed, and leave with its exit code."""
    import sys

    from bleen.domain.errors import BleenError
    from bleen.interfaces.cli import run
    from bleen.settings import read_settings

    try:
        settings = read_settings()
    except BleenError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None

    from bleen.app.platform import LocalPlatform

    raise SystemExit(run(LocalPlatform(settings)))
