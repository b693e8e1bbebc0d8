"""Which provider a controller has is a setting; what does not fit together is refused before anything runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from bleen.app.azure import Doors, FlipDoors, MixedDoors, site_of
from bleen.app.parts import parts_of
from bleen.domain.codec import encode
from bleen.domain.errors import InvalidInput, Unreachable
from bleen.domain.fidelity import GatewayMode
from bleen.domain.traffic import Backend, Colour, Endpoint, Route, Split
from bleen.providers.memory.gateway import MemoryBackends, MemoryGateway, MemoryGateways
from bleen.providers.prober import Door
from bleen.settings import Settings, read_settings
from tests.azure.double.cloud import Cloud
from tests.azure.world import site


def settings(folder: Path, **environ: str) -> Settings:
    return read_settings({"BLEEN_HOME": str(folder), **environ})


def azure_settings(folder: Path, **environ: str) -> Settings:
    described = folder / "site.json"
    described.write_bytes(encode(site(Cloud())))
    return settings(folder, BLEEN_PROVIDER="azure", BLEEN_AZURE_SITE=str(described), **environ)


def test_a_provider_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """With those that there are; nothing falls back to this machine."""
    with pytest.raises(InvalidInput, match="local, azure") as caught:
        settings(tmp_path, BLEEN_PROVIDER="Azure")
    assert caught.value.where == "environment"


def test_azure_without_a_site_is_refused(tmp_path: Path) -> None:
    """The variable to set is named."""
    with pytest.raises(InvalidInput, match="BLEEN_AZURE_SITE"):
        settings(tmp_path, BLEEN_PROVIDER="azure")


@pytest.mark.parametrize("environ", [{"BLEEN_ENVIRONMENT": "production"}, {"BLEEN_REGIONS": "local,other"}])
def test_a_site_of_another_place_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """Its file is named, and both variables with the values that fit it."""
    with pytest.raises(InvalidInput, match="BLEEN_ENVIRONMENT=dev and BLEEN_REGIONS=local") as caught:
        site_of(azure_settings(tmp_path, **environ))
    assert caught.value.where.endswith("site.json")
    assert site_of(azure_settings(tmp_path)).environment == "dev"


@pytest.mark.parametrize("mode", GatewayMode)
def test_a_site_of_every_mode_is_taken(tmp_path: Path, mode: GatewayMode) -> None:
    """There is a driver for each; the gateway without Envoys has the name that Terraform gives it."""
    chosen = azure_settings(tmp_path)
    Path(chosen.azure_site).write_bytes(encode(structs.replace(site(Cloud()), gateway_mode=mode)))
    taken = site_of(chosen)
    assert taken.gateway_mode is mode
    names = {GatewayMode.FLIP: "agw-flip-bleen-dev-weu", GatewayMode.MIXED: "agw-mixed-bleen-dev-weu"}
    assert mode is GatewayMode.ENVOY or taken.edge == names[mode]


def test_a_site_without_storage_is_refused(tmp_path: Path) -> None:
    """Its controller could keep nothing, and hear of no machine."""
    chosen = azure_settings(tmp_path)
    bare = structs.replace(site(Cloud()), gateway_mode=GatewayMode.FLIP, account="")
    Path(chosen.azure_site).write_bytes(encode(bare))
    with pytest.raises(InvalidInput, match="no storage account"):
        site_of(chosen)


def test_no_gateway_runs_beside_a_controller_of_azure(tmp_path: Path) -> None:
    """The Envoys are a scale set; ledger and engine are here, or elsewhere, as for any provider."""
    names = {part.name for part in parts_of(azure_settings(tmp_path))}
    assert names == {"postgres", "engine", "controller"}
    assert "gateway-local" in {part.name for part in parts_of(settings(tmp_path))}


def test_a_controller_of_one_machine_never_loads_the_sdk_of_a_cloud() -> None:
    """It takes tens of megabytes, which the controller's budget does not have."""
    asked = "import sys, bleen.app.controller, bleen.app.local; print([m for m in sys.modules if m.split('.')[0] == 'azure'])"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


async def test_checks_ask_the_gateways_by_the_name_of_the_service(tmp_path: Path) -> None:
    """Not by that of its preview; a service without a route, or a site that does not say where they answer, is told apart."""
    gateways = MemoryGateways()
    gateway = MemoryGateway(gateways)
    there = structs.replace(site(Cloud()), gateway="http://10.0.3.250")
    doors = Doors(there, gateway)
    with pytest.raises(Unreachable, match="no name of hello yet"):
        await doors.door_of("hello", 1)
    await MemoryBackends(gateways).set_backend(Backend("dev", "hello", Colour.BLUE, 1, (Endpoint("127.76.0.1", 9),)))
    await gateway.set_route(Route("dev", "hello", ("www.example.org",), Split.of(Colour.BLUE, 10_000), blue=1), 1)
    door = await doors.door_of("hello", 1)
    assert (door.url, door.host) == ("http://10.0.3.250", "www.example.org")
    with pytest.raises(Unreachable, match="where its gateways answer"):
        await Doors(structs.replace(there, gateway=""), gateway).door_of("hello", 1)


async def test_behind_a_gateway_that_flips_the_colour_of_a_release_decides_where_checks_ask() -> None:
    """The internal listener for the one at the preview, the public name for the one that serves; else nowhere."""
    gateways = MemoryGateways()
    gateway, backends = MemoryGateway(gateways), MemoryBackends(gateways)
    for colour, release in ((Colour.BLUE, 1), (Colour.GREEN, 2)):
        await backends.set_backend(Backend("dev", "hello", colour, release, (Endpoint("127.76.0.1", 9),)))
    split, preview = Split.of(Colour.BLUE), Colour.GREEN
    await gateway.set_route(Route("dev", "hello", ("www.example.org",), split, blue=1, green=2, preview=preview), 1)
    doors = FlipDoors(structs.replace(site(Cloud()), gateway="https://10.0.1.250:8443"), gateway)
    assert await doors.door_of("hello", 1) == Door("https://www.example.org")
    assert await doors.door_of("hello", 2) == Door("https://10.0.1.250:8443", "www.example.org")
    with pytest.raises(Unreachable, match="r3 of hello is at no listener"):
        await doors.door_of("hello", 3)


async def test_behind_a_gateway_that_mixes_a_check_asks_a_release_that_has_all_traffic() -> None:
    """By the public name alone; of two releases in one pool nobody can say which one answers."""
    gateways = MemoryGateways()
    gateway, backends = MemoryGateway(gateways), MemoryBackends(gateways)
    for colour, release in ((Colour.BLUE, 1), (Colour.GREEN, 2)):
        await backends.set_backend(Backend("dev", "hello", colour, release, (Endpoint("127.76.0.1", 9),)))
    route = Route("dev", "hello", ("www.example.org",), Split(5000, 5000), blue=1, green=2)
    await gateway.set_route(route, 1)
    doors = MixedDoors(site(Cloud()), gateway)
    with pytest.raises(Unreachable, match="r2 of hello has not all traffic"):
        await doors.door_of("hello", 2)
    await gateway.set_route(structs.replace(route, split=Split.of(Colour.GREEN)), 2)
    assert await doors.door_of("hello", 2) == Door("https://www.example.org")
    with pytest.raises(Unreachable, match="r1 of hello"):
        await doors.door_of("hello", 1)
