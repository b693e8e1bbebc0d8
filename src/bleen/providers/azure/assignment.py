"""What a machine of a scale set is for: its user data, which the controller writes and the machine reads.

An image is the same in every environment. What differs between them, the order and the account that gets the reports, is here.
Whatever runs on the machine can read it: it names secrets and holds none.
"""

import base64
from typing import Annotated

import msgspec
from msgspec import Meta

from bleen.domain.codec import Value, decode, encode
from bleen.domain.fleet import FleetOrder

Account = Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9][A-Za-z0-9.:-]*(/[A-Za-z0-9/._-]*)?$")]


class Assignment(Value, frozen=True):
    """One fleet's order, and where its machines report."""

    account: Account
    """The URL of the storage account."""
    order: FleetOrder


def to_user_data(assignment: Assignment) -> bytes:
    """Return the assignment as user data, before Azure's base64."""
    return encode(assignment)


def read_assignment(user_data: str) -> Assignment | None:
    """Return what the user data (base64) assign; None where they assign nothing, such as what Terraform writes at first."""
    found = _read(user_data, Assignment)
    return found if isinstance(found, Assignment) else None


def read_order(user_data: str) -> FleetOrder | None:
    """Return the order in user data, also of one that an earlier controller wrote alone; None where there is none."""
    found = _read(user_data, Assignment) or _read(user_data, FleetOrder)
    return found.order if isinstance(found, Assignment) else found


def _read(user_data: str, kind: type[Assignment] | type[FleetOrder]) -> Assignment | FleetOrder | None:
    try:
        found: Assignment | FleetOrder = decode(base64.b64decode(user_data, validate=True), kind)
        return found
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
