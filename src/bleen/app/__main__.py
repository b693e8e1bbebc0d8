"""The programs of a platform: ``python -m bleen.app PROGRAM``. `bleen up` starts the agent, which starts everything else."""

import sys
from importlib import import_module

from bleen.app.loading import loading

_PROGRAMS = ("agent", "controller", "gateway_agent", "gateway_envoy", "guest")


def _main(name: str) -> int:
    if name not in _PROGRAMS:
        sys.stderr.write(f"there is no program {name!r}: it is one of {', '.join(_PROGRAMS)}\n")
        return 2
    with loading():
        program = import_module(f"bleen.app.{name}")
    code: int = program.main()
    return code


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1] if len(sys.argv) > 1 else ""))
