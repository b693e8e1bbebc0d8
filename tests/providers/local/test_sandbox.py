"""What the sandbox makes of names."""

import subprocess

import pytest

from bleen.domain.fleet import Isolation
from bleen.providers.local.sandbox import probe_isolation, wrap

NAMES = ("hello-blue-r1-1", "a" * 64, f"{'long-' * 12}hello-blue-baseline-r1-westeurope-1", "-".join("x" * 63))


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_starts_however_long_its_name_is(name: str) -> None:
    """Linux refuses host names of more than 64 characters; what is longer is cut."""
    level = probe_isolation()
    if level.isolation is not Isolation.SANDBOX:
        pytest.skip("this machine allows no sandbox")
    command = wrap(("/usr/bin/env", "cat", "/proc/sys/kernel/hostname"), bwrap=level.bwrap, hostname=name, shown={})
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert name.startswith(done.stdout.strip())
