"""How things are called and tagged: Microsoft's abbreviations for names, and what tflint would say of the rest."""

import re
from collections.abc import Iterator
from typing import Any

from tests.terraform.check import Problem, references
from tests.terraform.hcl import Declared, Module
from tests.terraform.schema import Schema

PREFIXES = {
    # azure: Abbreviation recommendations for Azure resources
    "azurerm_application_gateway": "agw-",
    "azurerm_disk_encryption_set": "des-",
    "azurerm_key_vault": "kv-",
    "azurerm_lb": "lbi-",
    "azurerm_log_analytics_workspace": "log-",
    "azurerm_monitor_action_group": "ag-",
    "azurerm_monitor_autoscale_setting": "as-",
    "azurerm_monitor_data_collection_rule": "dcr-",
    "azurerm_nat_gateway": "ng-",
    "azurerm_network_security_group": "nsg-",
    "azurerm_orchestrated_virtual_machine_scale_set": "vmss-",
    "azurerm_postgresql_flexible_server": "psql-",
    "azurerm_private_endpoint": "pe-",
    "azurerm_public_ip": "pip-",
    "azurerm_resource_group": "rg-",
    "azurerm_storage_account": "st",
    "azurerm_subnet": "snet-",
    "azurerm_traffic_manager_profile": "traf-",
    "azurerm_user_assigned_identity": "id-",
    "azurerm_virtual_network": "vnet-",
    "azurerm_web_application_firewall_policy": "waf-",
}

PATTERNS = {
    # azure: Naming rules and restrictions for Azure resources
    "azurerm_key_vault": r"[a-z][a-z0-9-]{1,22}[a-z0-9]",
    "azurerm_lb": r"[\w.-]{1,80}",
    "azurerm_orchestrated_virtual_machine_scale_set": r"[\w-]{1,64}",
    "azurerm_postgresql_flexible_server": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "azurerm_resource_group": r"[\w.()-]{1,90}",
    "azurerm_shared_image_gallery": r"[\w.]{1,80}",
    "azurerm_storage_account": r"[a-z0-9]{3,24}",
    "azurerm_user_assigned_identity": r"[\w-]{3,128}",
    "azurerm_virtual_network": r"[\w.-]{2,64}",
}

_SNAKE = re.compile(r"[a-z][a-z0-9_]*")
TAGS = ("project", "environment", "region", "owner", "cost-center")


def problems(module: Module, schema: Schema) -> Iterator[Problem]:
    """Return what is named, described or tagged otherwise than here, and what is declared for nobody."""
    for block in module.declared:
        if block.labels and not _SNAKE.fullmatch(block.name):
            yield Problem(block.place(), f"{block.name} is not in snake case")
        yield from _described(block)
    for (mode, kind, _), block in module.resources.items():
        yield from _named(block, kind)
        known = schema.block(mode, kind)
        if mode == "resource" and known is not None and "tags" in known.arguments and "tags" not in block.body:
            yield Problem(block.place(), f"{kind} has no tags")
    yield from _unused(module)


def _described(block: Declared) -> Iterator[Problem]:
    wanted = {"variable": ("description", "type"), "output": ("description",)}.get(block.type, ())
    for key in wanted:
        if not block.body.get(key):
            yield Problem(block.place(), f"{block.type} {block.name} has no {key}")


def _named(block: Declared, kind: str) -> Iterator[Problem]:
    wanted = PREFIXES.get(kind)
    name = str(block.body.get("name", "")).strip('"')
    if wanted and block.type == "resource" and not name.startswith((wanted, "${each.")):
        yield Problem(block.place("name"), f"the name of a {kind} begins with {wanted}")


def _unused(module: Module) -> Iterator[Problem]:
    seen = {
        (word, name)
        for block in module.declared
        for word, name, _ in references(block)
        if not (block.type == "variable" and block.name == name)
    }
    for name, variable in module.of("variable").items():
        if ("var", name) not in seen:
            yield Problem(variable.place(), f"variable {name} is declared and not used")
    for name in module.locals:
        if ("local", name) not in seen:
            yield Problem(str(module.folder), f"local value {name} is declared and not used")


def names(resources: list[dict[str, Any]]) -> Iterator[str]:
    """Return which names of a plan Azure would refuse: too long, or with signs that it does not take."""
    for found in resources:
        name, pattern = found["values"].get("name"), PATTERNS.get(found["type"])
        if name and pattern and not re.fullmatch(pattern, name):
            yield f"{found['address']}: {name!r} is not like {pattern}"


def tags(resources: list[dict[str, Any]], schema: Schema) -> Iterator[str]:
    """Return which resources of a plan lack a tag that the policy module asks for."""
    for found in resources:
        known = schema.block("resource", found["type"]) if found["mode"] == "managed" else None
        if known is not None and "tags" in known.arguments:
            missing = [tag for tag in TAGS if tag not in (found["values"].get("tags") or {})]
            if missing:
                yield f"{found['address']} has no {', '.join(missing)}"
