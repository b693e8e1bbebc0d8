"""The double takes no body that Microsoft's own types refuse, and all that the SDK and Bleen make."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.models import (
    GalleryImageVersion,
    VirtualMachineScaleSetUpdate,
    VirtualMachineScaleSetVMInstanceRequiredIDs,
)
from azure.mgmt.network.models import ApplicationGateway, NetworkInterface

from tests.azure.double.bodies import problems
from tests.azure.double.cloud import GROUP, Cloud
from tests.azure.world import azure

POOLS = "applicationGatewayBackendAddressPools"
"""The pools that an interface is in are its own to say."""
MEMBERS = "backendIPConfigurations"
"""The members of a pool are not the gateway's to say."""
GOOD: list[tuple[Any, Any]] = [
    (VirtualMachineScaleSetUpdate, {}),
    (VirtualMachineScaleSetUpdate, {"sku": {"capacity": 3}, "tags": {"release": "r1"}}),
    (VirtualMachineScaleSetUpdate, {"properties": {"virtualMachineProfile": {"userData": "e30="}}}),
    (VirtualMachineScaleSetUpdate, {"properties": {"upgradePolicy": {"mode": "Manual"}}}),
    (GalleryImageVersion, {"location": "weu", "properties": {"storageProfile": {"osDiskImage": {"source": {"id": "/d"}}}}}),
    (ApplicationGateway, {"properties": {"requestRoutingRules": [{"name": "hello", "properties": {"ruleType": "Basic"}}]}}),
    (NetworkInterface, {"properties": {"ipConfigurations": [{"properties": {POOLS: [{"id": "/p"}]}}]}}),
]
BAD: list[tuple[Any, Any, str]] = [
    (VirtualMachineScaleSetUpdate, {"sku": {"capacty": 3}}, "Could not find member 'capacty' on object of type 'Sku'"),
    (VirtualMachineScaleSetUpdate, {"sku": {"capacity": "3"}}, "'3' to type 'int'. Path 'sku.capacity'"),
    (VirtualMachineScaleSetUpdate, {"sku": {"capacity": True}}, "True to type 'int'"),
    (VirtualMachineScaleSetUpdate, {"capacity": 3}, "'capacity'"),
    (VirtualMachineScaleSetUpdate, {"tags": {"release": 1}}, "Path 'tags.release'"),
    (VirtualMachineScaleSetUpdate, {"virtualMachineProfile": {}}, "'virtualMachineProfile'"),
    (VirtualMachineScaleSetUpdate, {"properties": {"upgradePolicy": {"mode": "ByHand"}}}, "'ByHand' to type 'UpgradeMode'"),
    (VirtualMachineScaleSetVMInstanceRequiredIDs, {"instanceIds": "a"}, "to type 'array'"),
    (VirtualMachineScaleSetVMInstanceRequiredIDs, {}, "Required property 'instanceIds'"),
    (GalleryImageVersion, {"location": "weu", "properties": {"provisioningState": "Succeeded"}}, "read-only"),
    (GalleryImageVersion, {}, "Required property 'location'"),
    (ApplicationGateway, {"properties": {"requestRoutingRules": [{"nam": "x"}]}}, "requestRoutingRules[0].nam"),
    (ApplicationGateway, {"properties": {"backendAddressPools": [{"properties": {MEMBERS: []}}]}}, f"{MEMBERS!r} of"),
    (NetworkInterface, {"properties": {"virtualMachine": {"id": "/m"}}}, "read-only"),
    (NetworkInterface, {"properties": {"ipConfigurations": [{"properties": {POOLS[:-1]: []}}]}}, f"member {POOLS[:-1]!r}"),
]


@pytest.mark.parametrize(("model", "body"), GOOD)
def test_what_the_types_allow_passes(model: Any, body: Any) -> None:
    """Members, lists, words of an enumeration."""
    assert list(problems(body, model, "")) == []


@pytest.mark.parametrize(("model", "body", "words"), BAD)
def test_what_they_do_not_is_named_with_its_place(model: Any, body: Any, words: str) -> None:
    """A member that is misspelt or in the wrong place, a wrong type, a word that nobody knows, what only Azure sets."""
    assert words in "; ".join(problems(body, model, ""))


async def test_azure_refuses_a_misspelt_member_over_the_sdk(cloud: Cloud) -> None:
    """The SDK sends what it is given; nothing has changed then."""
    cloud.compute.make("hello")
    there = azure(cloud)
    sets = there.compute.virtual_machine_scale_sets
    with pytest.raises(HttpResponseError, match="capacty") as caught:
        await sets.begin_update(GROUP, "vmss-hello-blue-bleen-dev-weu", {"sku": {"capacty": 3}}, polling=False)
    assert caught.value.status_code == 400
    assert cloud.compute.sets["vmss-hello-blue-bleen-dev-weu"].capacity == 0
    await there.close()
