"""What a machine of a scale set is for: its user data, which the controller writes and the machine reads.

An image is the same in every environment. What differs between them, the order and the account that gets the reports, is here.
Whatever runs on the machine can read it: it names secrets and holds none.
"""

import re
from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Value, encode
from bleen.domain.errors import InvalidInput
from bleen.domain.fleet import FleetOrder
from bleen.domain.release import SecretRef
from bleen.providers.azure.packing import unpacked

Account = Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9][A-Za-z0-9.:-]*(/[A-Za-z0-9/._-]*)?$")]


class Assignment(Value, frozen=True):
    """One fleet's order, and where its machines report."""

    account: Account
    """The URL of the storage account."""
    order: FleetOrder
    vault: Account | None = None
    """The URL of the Key Vault that has the secrets which the order names."""


class GatewayAssignment(Value, frozen=True):
    """What a machine of the gateways is told: by Terraform, whose module gateway writes it."""

    account: Account
    """The URL of the storage account that has the routes, and gets the reports."""
    region: str
    """As Bleen calls it."""
    client_id: str
    """Which identity it asks for a token."""
    port: int
    """Where its Envoy takes requests."""
    health_port: int
    """Where its agent answers the health extension, on loopback."""


_SECRET = re.compile(r"[0-9A-Za-z-]{1,127}")
"""From Microsoft's *Vault-name and object-name*."""


def check_name(name: str) -> None:
    """Refuse a name that no secret of Key Vault can have: InvalidInput."""
    if not _SECRET.fullmatch(name):
        why = "Key Vault takes letters, digits and '-', at most 127 of them"
        raise InvalidInput(
            f"{name!r} is no name of a secret in Azure", why=why, next="name it otherwise, in the file and in the vault"
        )


def check_secrets(order: FleetOrder, vault: str) -> None:
    """Refuse an order whose secrets no machine could read: InvalidInput."""
    names = [value.secret for value in order.runtime.env.values() if isinstance(value, SecretRef)]
    for name in names:
        check_name(name)
    if names and not vault:
        next = "terraform output -json sites tells it as vault: write the site anew"
        raise InvalidInput(
            f"{order.slot.service} needs the secret {names[0]}", why="this site does not say which vault has it", next=next
        )


def to_user_data(assignment: Assignment) -> bytes:
    """Return the assignment as user data, before Azure's base64."""
    return encode(assignment)


def read_assignment(user_data: str) -> Assignment | None:
    """Return what the user data (base64) assign; None where they assign nothing, such as what Terraform writes at first."""
    return unpacked(user_data, Assignment)


def read_order(user_data: str) -> FleetOrder | None:
    """Return the order in user data, also of one that an earlier controller wrote alone; None where there is none."""
    assigned = unpacked(user_data, Assignment)
    return assigned.order if assigned is not None else unpacked(user_data, FleetOrder)


def read_gateway(user_data: str) -> GatewayAssignment:
    """Return what the user data (base64) tell a gateway; InvalidInput where they are no gateway's."""
    found = unpacked(user_data, GatewayAssignment)
    if found is None:
        next = "the Terraform module gateway writes them: terraform apply, then replace the machine"
        raise InvalidInput("this machine's user data are not those of a gateway", next=next)
    return found
