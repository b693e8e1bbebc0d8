"""What a build had in memory goes back to the system."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bleen.providers.local.heap import ENVIRONMENT, give_back

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator keeps what is free, and can be told"
)
INDEX = """
from bleen.providers.local.heap import give_back
from tests.providers.local.test_heap import resident

before = resident()
read = [(number, str(number)) for number in range(400_000)]
kept = read[::500]
held = resident() - before
del read
give_back()
print((resident() - before) / held)
"""
"""Reads many small things, keeps a few of them, and prints which part of the memory is still held."""


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_what_is_free_goes_back_to_the_system() -> None:
    """Also from below something that is still in use."""
    blocks = [bytes(n % 7 + 2000) for n in range(50_000)]
    above = bytes(3000)
    held = resident()
    blocks.clear()
    give_back()
    assert held - resident() > 50_000_000
    assert len(above) == 3000


def test_few_things_that_are_kept_do_not_hold_the_memory_of_many() -> None:
    """In the environment of the controller: Python's own allocator would keep nearly all of it."""
    environ = {**os.environ, **ENVIRONMENT}
    done = subprocess.run([sys.executable, "-c", INDEX], env=environ, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.5
