"""Application Gateway's document: to which pool the rules of each service refer, and the same with other references.

Azure takes the document only as a whole: what was read is sent back as it was, but for the references that change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.mgmt.network.models import ApplicationGateway, ApplicationGatewayHttpListener, ApplicationGatewayRequestRoutingRule

from bleen.domain.codec import Value
from bleen.domain.traffic import Colour
from bleen.providers.azure.errors import word

SUCCEEDED = "Succeeded"
UNDER_WAY = {"Updating", "Creating", "Deleting"}
"""Azure's words for the state of what it keeps. Any other says that the last change of it failed."""


class Aim(Value, frozen=True):
    """The colours to whose pools the two rules of a service refer."""

    serving: Colour
    preview: Colour
    """At the internal listener."""


class Rules(Value, frozen=True):
    """What the gateway has of one service. ``aim`` is None where a rule refers to something that is no colour of it."""

    aim: Aim | None
    hosts: tuple[str, ...]
    """In lower case."""


@dataclass(frozen=True)
class Document:
    """The gateway as it was read. ``state`` is Azure's word for how its last update went."""

    etag: str
    state: str
    services: Mapping[str, Rules]
    """Those that have two rules and two pools, as the module gateway-appgw-flip makes them."""
    found: ApplicationGateway

    @property
    def updating(self) -> bool:
        """Whether an update is under way: then the references are those that are to come."""
        return self.state in UNDER_WAY

    @property
    def succeeded(self) -> bool:
        """Whether its references are what traffic follows. Neither this nor ``updating``: its last update failed."""
        return self.state == SUCCEEDED

    def aim(self, service: str) -> Aim | None:
        """Return to which colours the rules of a service refer, if they are there."""
        rules = self.services.get(service)
        return rules.aim if rules else None


def document_of(found: ApplicationGateway) -> Document:
    """Return what Azure answered, as far as a deployment is concerned with it."""
    rules = {each.name or "": each for each in found.request_routing_rules or []}
    pools = {each.name for each in found.backend_address_pools or []}
    listeners = {each.name or "": each for each in found.http_listeners or []}
    ours = [name for name in rules if f"{name}-preview" in rules and {_pool(name, each) for each in Colour} <= pools]
    services = {
        name: Rules(
            _aim(name, rules[name], rules[f"{name}-preview"]), hosts_of(listeners.get(last_of(rules[name].http_listener)))
        )
        for name in ours
    }
    return Document(found.etag or "", word(found.provisioning_state) or SUCCEEDED, services, found)


def aimed(document: Document, aims: Mapping[str, Aim]) -> ApplicationGateway:
    """Return the whole document, without what only Azure sets, in which the rules of some services refer as ``aims`` say."""
    body: dict[str, Any] = document.found.as_dict(exclude_readonly=True)
    properties = body["properties"]
    pools = {pool["name"]: pool["id"] for pool in properties["backendAddressPools"]}
    wanted = {name: _pool(name, aim.serving) for name, aim in aims.items()}
    wanted |= {f"{name}-preview": _pool(name, aim.preview) for name, aim in aims.items()}
    for rule in properties["requestRoutingRules"]:
        if rule["name"] in wanted:
            rule["properties"]["backendAddressPool"] = {"id": pools[wanted[rule["name"]]]}
    return ApplicationGateway(body)


def _pool(service: str, colour: Colour) -> str:
    return f"{service}-{colour}"


def _aim(
    service: str, serving: ApplicationGatewayRequestRoutingRule, preview: ApplicationGatewayRequestRoutingRule
) -> Aim | None:
    colours = {_pool(service, each): each for each in Colour}
    one, other = (colours.get(last_of(each.backend_address_pool)) for each in (serving, preview))
    return Aim(one, other) if one and other else None


def hosts_of(listener: ApplicationGatewayHttpListener | None) -> tuple[str, ...]:
    """Return the names that a listener answers to, in lower case."""
    if listener is None:
        return ()
    names = listener.host_names or ([listener.host_name] if listener.host_name else [])
    return tuple(name.lower() for name in names)


def last_of(resource: Any) -> str:
    """Return the name that ends the id of what is referred to; empty where nothing is."""
    return str(resource.id or "").rpartition("/")[2] if resource is not None else ""
