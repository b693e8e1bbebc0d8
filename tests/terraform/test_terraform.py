"""What the real Terraform says of the tree, with a provider that knows the schema and no cloud."""

from pathlib import Path
from typing import Any

import pytest

from tests.terraform import naming, rules
from tests.terraform.hcl import TERRAFORM, modules, roots
from tests.terraform.runner import Terraform, resources
from tests.terraform.schema import Schema

# Plans of all environments are made within the first test that wants them: seconds alone, minutes on a machine that is full.
pytestmark = pytest.mark.timeout(900)

TESTED = [folder.name for folder in modules() if (folder / "tests").is_dir()]
ENVIRONMENTS = [root.name for root in roots() if root.parent.name == "environments"]


def test_files_are_as_terraform_formats_them(terraform: Terraform) -> None:
    """`terraform fmt` would change nothing."""
    said = terraform(TERRAFORM, "fmt", "-check", "-diff", "-recursive")
    assert said.returncode == 0, said.stdout


def test_the_bootstrap_is_valid(terraform: Terraform, tree: Path) -> None:
    """No other root covers it; the environments are planned below, which validates them and their modules."""
    assert terraform.validate(tree / "bootstrap") == []


@pytest.mark.parametrize("module", TESTED)
def test_a_module_keeps_its_own_promises(terraform: Terraform, tree: Path, module: str) -> None:
    """`terraform test` runs what the module says of itself, with a provider that is mocked."""
    folder = tree / "modules" / module
    terraform.ready(folder)
    said = terraform(folder, "test", "-no-color")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Success!" in said.stdout


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_plan_breaks_no_rule_of_azure(plans: dict[str, Any], name: str) -> None:
    """With every variable and expression worked out: words, ranges, lengths and signs of names."""
    planned = resources(plans[name])
    assert [broken for found in planned for broken in rules.broken(found["type"], found["values"])] == []
    assert list(naming.names(planned)) == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_all_that_is_planned_has_the_tags_that_policy_asks_for(plans: dict[str, Any], name: str, schema: Schema) -> None:
    """Otherwise the policy module would report, or refuse, what this repository makes."""
    assert list(naming.tags(resources(plans[name]), schema)) == []


def test_what_policy_asks_for_is_what_is_checked() -> None:
    """One list of tags, in the module and here."""
    text = (TERRAFORM / "modules/policy/variables.tf").read_text("utf-8")
    assert "default     = [" + ", ".join(f'"{tag}"' for tag in naming.TAGS) + "]" in text


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_two_things_of_a_plan_share_a_name(plans: dict[str, Any], name: str) -> None:
    """Within a resource group and a kind, a name is somebody's."""
    seen: set[tuple[Any, ...]] = set()
    for found in resources(plans[name]):
        values = found["values"]
        if found["mode"] == "managed" and values.get("resource_group_name") and values.get("name"):
            key = (found["type"], values["resource_group_name"], values["name"], values.get("virtual_network_name"))
            assert key not in seen, key
            seen.add(key)


def test_production_stands_in_two_regions_that_are_alike(plans: dict[str, Any]) -> None:
    """What one has, the other has: it serves alone when the first is lost."""
    modules = {child["address"]: child for child in plans["production"]["planned_values"]["root_module"]["child_modules"]}
    alike = [
        sorted(
            found["address"].removeprefix(region) for found in resources({"planned_values": {"root_module": modules[region]}})
        )
        for region in ("module.primary", "module.secondary")
    ]
    assert alike[0] == alike[1]
    assert len(alike[0]) > 70


def test_production_has_zones_a_standby_a_replica_and_an_order_of_regions(plans: dict[str, Any]) -> None:
    """What the issue of production asks for is in its plan, not only in its modules."""
    planned = resources(plans["production"])
    fleets = [found["values"] for found in planned if found["type"] == "azurerm_orchestrated_virtual_machine_scale_set"]
    assert len(fleets) == 6
    assert all(fleet["zones"] == ["1", "2", "3"] and fleet["zone_balance"] for fleet in fleets)
    servers = [found["values"] for found in planned if found["type"] == "azurerm_postgresql_flexible_server"]
    assert [server["high_availability"] for server in servers if server["create_mode"] is None] == [
        [{"mode": "ZoneRedundant", "standby_availability_zone": None}]
    ]
    assert [server["location"] for server in servers if server["create_mode"] == "Replica"] == ["northeurope"]
    ends = [found["values"]["priority"] for found in planned if found["type"] == "azurerm_traffic_manager_azure_endpoint"]
    assert sorted(ends) == [1, 2]


def test_no_machine_of_a_plan_has_a_public_address(plans: dict[str, Any]) -> None:
    """Public addresses are those of the edge and of the way out."""
    for plan in plans.values():
        planned = resources(plan)
        for found in planned:
            if found["type"] == "azurerm_orchestrated_virtual_machine_scale_set":
                for card in found["values"]["network_interface"]:
                    assert [way["public_ip_address"] for way in card["ip_configuration"]] == [[]]
        addresses = {found["values"]["name"].split("-")[1] for found in planned if found["type"] == "azurerm_public_ip"}
        assert addresses == {"edge", "nat"}
