"""`bleen azure smoke` sees what is wrong with a site, and changes nothing of it."""

from pathlib import Path

from msgspec import structs

from bleen.domain.fidelity import GatewayMode
from bleen.domain.traffic import Colour
from bleen.providers.azure.connection import Azure
from bleen.providers.azure.site import Container
from bleen.providers.azure.smoke import Checked, smoke
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.double.faults import Refused
from tests.azure.mixing import machine
from tests.azure.tier import TierRun
from tests.azure.world import Publisher, azure, keys_of


async def look(there: Azure) -> dict[str, Checked]:
    return {each.name: each for each in await smoke(there)}


async def test_a_good_site_is_called_good(tier: TierRun, tmp_path: Path) -> None:
    """Everything that can be seen by reading; and only reading was done."""
    cloud = tier.cloud
    cloud.compute.make("hello")
    Publisher(cloud, keys_of(tmp_path)).publish(f"sha256:{7:064x}", "hello")
    there = azure(cloud)
    found = await look(there)
    assert {name: each.detail for name, each in found.items() if not each.good} == {}
    assert "2 of hello" in found["scale sets"].detail
    assert {call.split()[0] for call in cloud.calls} == {"GET"}
    await there.close()


async def test_what_is_wrong_is_said_with_what_to_do(cloud: Cloud) -> None:
    """Each on its own: one that cannot be read hides no other."""
    cloud.compute.make("hello")
    blue, green = cloud.compute.sets.values()
    blue.watched, green.upgrade_mode = False, "Automatic"
    blue.capacity, cloud.faults.quota = 9, 10
    cloud.gallery.add("hello", "1.0.0")
    cloud.faults.add("GET", f"/account/{Container.MACHINES}", Refused(403, "AuthorizationPermissionMismatch"), 9)
    there = azure(cloud)
    found = await look(there)
    assert not any(each.good for each in found.values())
    assert all(each.next for each in found.values())
    assert "no health extension" in found["scale sets"].detail and "Automatic" in found["scale sets"].detail
    assert "2 of 20 cores" in found["quota"].detail
    assert "digest" in found["gallery"].detail
    assert "AuthorizationPermissionMismatch" in found["storage"].detail
    assert "none has ever reported" in found["gateways"].detail
    await there.close()


async def test_a_site_that_is_not_there_is_told_apart_from_an_empty_one(cloud: Cloud) -> None:
    """A subscription that refuses says so, and what to give."""
    cloud.faults.add("GET", "virtualMachineScaleSets", Refused(403, "AuthorizationFailed", "no role"), 9)
    there = azure(cloud)
    found = (await look(there))["scale sets"]
    assert not found.good and "AuthorizationFailed" in found.detail and "role" in found.next
    await there.close()


async def test_a_gateway_that_flips_is_looked_at(cloud: Cloud, edge: Edge) -> None:
    """Whether it has the rules of every service that has scale sets, and is at rest; nothing is changed."""
    cloud.compute.make("hello")
    there = azure(cloud)
    there.site = structs.replace(there.site, gateway_mode=GatewayMode.FLIP)
    found = (await look(there))["gateways"]
    assert found.good and "hello is blue" in found.detail
    edge.state = "Failed"
    assert "is Failed" in (await look(there))["gateways"].detail
    cloud.compute.make("stranger")
    found = (await look(there))["gateways"]
    assert not found.good and "stranger" in found.detail and found.next
    assert edge.updates == 0
    await there.close()


async def test_a_gateway_that_mixes_is_looked_at(cloud: Cloud, pools: Edge) -> None:
    """Whether it has a pool of every service that has scale sets, how many machines are in each, and whether it is at rest."""
    cloud.compute.make("hello")
    name = machine("hello", Colour.BLUE, 1)
    cloud.nics.make(name.rpartition("_")[0], name, "10.0.0.1")
    cloud.nics.by_hand(name, pools, "hello", inside=True)
    there = azure(cloud)
    there.site = structs.replace(there.site, gateway_mode=GatewayMode.MIXED)
    found = (await look(there))["gateways"]
    assert found.good and "1 machines in the pool of hello" in found.detail
    pools.state = "Failed"
    assert "is Failed" in (await look(there))["gateways"].detail
    cloud.compute.make("stranger")
    found = (await look(there))["gateways"]
    assert not found.good and "stranger" in found.detail and found.next
    assert {call.split()[0] for call in cloud.calls} == {"GET"}
    await there.close()


async def test_azure_monitor_is_asked_where_it_counts(cloud: Cloud, pools: Edge) -> None:
    """It tells how many answers it counted, and how it writes who gave them; who lacks the role is told which."""
    there = azure(cloud)
    assert "monitor" not in await look(there)
    there.site = structs.replace(there.site, gateway_mode=GatewayMode.MIXED)
    cloud.monitor.port = ":8080"
    cloud.monitor.count(pools.name, "hello", "10.0.0.1", 200, times=7)
    found = (await look(there))["monitor"]
    assert found.good and "7 answers" in found.detail and "10.0.0.1:8080 in hello" in found.detail
    cloud.monitor.closed = True
    found = (await look(there))["monitor"]
    assert not found.good and "Monitoring Reader" in found.next
    await there.close()
