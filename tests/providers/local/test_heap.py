"""What a build had in memory goes back to the system."""

import platform
from pathlib import Path

import pytest

from bleen.providers.local.images.heap import give_back


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator keeps what is free, and can be told")
def test_what_is_free_goes_back_to_the_system() -> None:
    """Also from below something that is still in use."""
    blocks = [bytes(n % 7 + 2000) for n in range(50_000)]
    above = bytes(3000)
    held = resident()
    blocks.clear()
    give_back()
    assert held - resident() > 50_000_000
    assert len(above) == 3000
