"""One real build, of this machine's own mirror, and a real program on it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleen.domain.base import BaseOrder, Hardening, Recipe
from bleen.domain.errors import NotFound, StartFailed, Unreachable
from bleen.domain.fleet import Isolation
from bleen.domain.image import Directory, Image
from bleen.providers.local.ground import ground_of
from bleen.providers.local.images import LocalBases, LocalImages
from bleen.providers.local.sandbox import Level
from tests.providers.local.base_bench import deaf
from tests.providers.local.world import APP, World, get, ready

RECIPE = Recipe(
    image="python",
    suite="bookworm",
    packages=("python3-minimal", "libpython3-stdlib"),
    hardening=Hardening(remove_packages=("perl-base",)),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an application on a real base."""
    folder = tmp_path_factory.mktemp("real")
    try:
        asyncio.run(_build(folder))
    except (Unreachable, NotFound) as error:
        pytest.skip(f"this machine has no Debian mirror that answers: {error.what}")
    return folder


async def _build(home: Path) -> Image:
    base = await LocalBases(home).build(BaseOrder(RECIPE, str(home)), deaf)
    return await LocalImages(home).build("hello", Directory(path="app", version="1"), APP.parent, base.digest)


@pytest.fixture
async def image(home: Path) -> Image:
    return await _build(home)


@pytest.fixture
async def world(home: Path, image: Image) -> AsyncIterator[World]:
    there = World(home, image.digest)
    if there.level.isolation is not Isolation.SANDBOX:
        pytest.skip(f"this machine refuses sandboxes: {there.level.reason}")
    yield there
    await there.close()


async def test_an_instance_runs_on_its_base_and_sees_nothing_of_the_machine(world: World, image: Image) -> None:
    """Its Python and its user are the base's; what it is given is where the documents say."""
    agent = await world.agent()
    await agent.launch(world.order(1, files={"greeting": "hello"}))
    (instance,) = await ready(agent, 1)
    assert instance.isolation is Isolation.SANDBOX
    assert await get(instance, "/file/greeting") == "hello"
    assert await get(instance, "/environ/BLEEN_PYTHON") == f"/usr/bin/{image.runtime.replace('cpython-', 'python')}"
    assert await get(instance, "/environ/BLEEN_FILES") == "/run/bleen/files"
    assert await get(instance, "/write/usr/bin/evil") == "Read-only file system"
    assert await get(instance, "/write/app/evil") == "Read-only file system"
    assert await get(instance, "/write/tmp/mine") == "written"
    assert await get(instance, "/uid") == "1000"


async def test_a_machine_that_refuses_sandboxes_says_so(home: Path, image: Image) -> None:
    """Instead of running the program on a system that it was not made for."""
    images, level = LocalImages(home), Level(isolation=Isolation.PROCESS, reason="user namespaces are off")
    with pytest.raises(StartFailed, match="refuses sandboxes") as caught:
        ground_of(image, images.tree(image.digest), images.tree(image.base), home, level)
    assert caught.value.why == "user namespaces are off"
    assert "base: host" in caught.value.next


async def test_a_command_that_neither_application_nor_base_has_is_refused(world: World, home: Path, image: Image) -> None:
    """It may be on the machine: that does not count."""
    images = LocalImages(home)
    ground = ground_of(image, images.tree(image.digest), images.tree(image.base), home, world.level)
    ground.check_command("python3", ground.env)
    ground.check_command("/usr/bin/dash", ground.env)
    for absent in (sys.executable, "bwrap", "/app/nothing"):
        with pytest.raises(StartFailed):
            ground.check_command(absent, ground.env)


async def test_the_real_base_is_the_same_twice(home: Path, image: Image, tmp_path: Path) -> None:
    """In another home, of the same lock: compiled modules too."""
    (tmp_path / "python.lock.json").write_bytes((home / "python.lock.json").read_bytes())
    again = await LocalBases(tmp_path).build(BaseOrder(RECIPE, str(tmp_path)), deaf)
    assert again.digest == image.base
