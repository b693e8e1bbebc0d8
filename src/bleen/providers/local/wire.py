"""What passes between the agent and its clients: who answers, what ends, and errors."""

from bleen.domain import errors
from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.fleet import Isolation, Slot
from bleen.domain.told import Told, retell, tell


class Retirement(Value, frozen=True):
    """Which fleet is to end."""

    slot: Slot
    release: int


class Health(Value, frozen=True):
    """The agent itself."""

    home: str
    pid: int
    isolation: Isolation
    reason: str
    """Why instances are not sandboxed; empty where they are."""


_STATUS = ((errors.NotFound, 404), (errors.InvalidInput, 400), (errors.Conflict, 409), (errors.Transient, 503))


def status(error: BleenError) -> int:
    """Return the HTTP status of ``error``."""
    return next((code for kind, code in _STATUS if isinstance(error, kind)), 422)


def to_body(error: Exception) -> Told:
    """Return ``error`` as a body; what is no BleenError is a defect of the agent, and trying again may help."""
    if not isinstance(error, BleenError):
        error = Unreachable("the host agent failed", why=repr(error), next="its log is logs/agent.log in the home")
    return tell(error)


def from_body(body: Told) -> BleenError:
    """Return the error that ``body`` spells; Unreachable where it names none of ours."""
    return retell(body) or Unreachable(f"the host agent answered {body.error}", why=body.what, next="bleen doctor")
