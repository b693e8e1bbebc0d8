"""The programs of a platform: ``python -m bleen.app PROGRAM``. `bleen up` starts the agent, which starts everything else.

What is loaded at the start stays until the end. To look through it for garbage while it is loaded takes a tenth of the
start, and to do so again at each later collection some milliseconds: it is set aside.
"""

import gc
import sys
from importlib import import_module

_PROGRAMS = ("agent", "controller", "gateway_agent")


def _main(name: str) -> int:
    if name not in _PROGRAMS:
        sys.stderr.write(f"there is no program {name!r}: it is one of {', '.join(_PROGRAMS)}\n")
        return 2
    gc.disable()
    program = import_module(f"bleen.app.{name}")
    gc.freeze()
    gc.enable()
    code: int = program.main()
    return code


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1] if len(sys.argv) > 1 else ""))
