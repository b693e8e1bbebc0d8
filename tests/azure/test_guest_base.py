"""A machine whose image stands on the base of a recipe: what `bake.sh` put into it, started by the real guest."""

import asyncio
from pathlib import Path

import pytest

from bleen.domain.base import BaseOrder
from bleen.domain.errors import NotFound, Unreachable
from bleen.domain.fleet import InstanceState, Isolation
from bleen.domain.image import Directory, Image
from bleen.providers.local.images import LocalBases, LocalImages
from bleen.providers.local.sandbox import probe_isolation
from tests.azure.test_guest_process import Ground, ground
from tests.providers.local.base_bench import deaf
from tests.providers.local.image_bench import overwrite
from tests.providers.local.test_bases_real import RECIPE
from tests.providers.local.world import APP, get
from tests.terraform.test_pipelines import bake, baking_of, unpack

__all__ = ["ground"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The store of a machine, as the payload of a bake made it; the builder's own home is another."""
    if probe_isolation().isolation is not Isolation.SANDBOX:
        pytest.skip("this machine refuses sandboxes")
    folder = tmp_path_factory.mktemp("based")
    (folder / "home").mkdir()
    try:
        built = asyncio.run(_build(folder / "home"))
    except (Unreachable, NotFound) as error:
        pytest.skip(f"this machine has no Debian mirror that answers: {error.what}")
    said = bake(baking_of(folder / "home", built.digest), folder)
    assert said.returncode == 0, said.stderr
    return unpack(folder), built.digest


async def _build(home: Path) -> Image:
    base = await LocalBases(home).build(BaseOrder(RECIPE, str(home)), deaf)
    return await LocalImages(home).build("hello", Directory(path="app", version="1"), APP.parent, base.digest)


async def test_a_machine_starts_an_image_on_its_base(ground: Ground, image: tuple[Path, str]) -> None:
    """Its system is the base, not the machine, which is Debian's own; a base that was changed there starts nothing."""
    _, instance = await ground.serving("m1")
    assert instance.isolation is Isolation.SANDBOX
    assert await get(instance, "/environ/BLEEN_PYTHON") == "/usr/bin/python3.11"
    assert await get(instance, "/write/usr/bin/evil") == "Read-only file system"
    store = LocalImages(image[0])
    base = (await store.find(image[1])).base
    overwrite(store.tree(base) / "usr/share/doc/libpython3-stdlib/copyright", "anybody's\n")
    machine = await ground.machine("m2", ground.user_data())
    told = await ground.told(machine, InstanceState.CRASHED)
    assert "copyright" in told.last_exit, told.last_exit
