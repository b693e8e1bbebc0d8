"""The memory of the process that builds."""

import ctypes


def give_back() -> None:
    """Return to the system what was allocated and is free again.

    The index of a distribution and the files of a base are some hundred MB for a moment; glibc's allocator would keep them.
    Does nothing where the C library has no such call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
