"""Homes for the tests of the host agent."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bleen.domain.fleet import Isolation
from tests.providers.local.world import World, build_app


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A new home, with the isolation that this machine allows."""
    there = World(tmp_path / "home", await build_app(tmp_path / "home"))
    yield there
    await there.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=4m", "bleen-test", str(folder))
    if shutil.which("mount") is None or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


@pytest.fixture
async def small_world(small_disk: Path) -> AsyncIterator[World]:
    """A new home on a disk of four megabytes."""
    there = World(small_disk, await build_app(small_disk))
    yield there
    await there.close()


@pytest.fixture
async def plain_world(tmp_path: Path) -> AsyncIterator[World]:
    """A new home on a machine that refuses sandboxes."""
    there = World(tmp_path / "home", await build_app(tmp_path / "home"), isolation=Isolation.PROCESS)
    yield there
    await there.close()
