"""How programs are loaded."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Load modules, which stay until the end.

    To look through them for garbage while they are loaded takes a tenth of a start, and to do so again at each later
    collection some milliseconds: they are set aside.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
