"""What passes between the agent and its clients: errors by class name, both ways, in this one place."""

from collections.abc import Iterator

from bleen.domain import errors
from bleen.domain.codec import Value
from bleen.domain.errors import BleenError, InvalidInput, LawBroken, Unreachable
from bleen.domain.fleet import Isolation, Slot


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


class ErrorBody(Value, frozen=True):
    """An error as JSON."""

    error: str
    what: str
    why: str = ""
    next: str = ""
    where: str = ""
    law: int = 0


def kinds(of: type[BleenError] = BleenError) -> Iterator[type[BleenError]]:
    """Yield every class of the tree."""
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


_STATUS = ((errors.NotFound, 404), (errors.InvalidInput, 400), (errors.Conflict, 409), (errors.Transient, 503))


def status(error: BleenError) -> int:
    """Return the HTTP status of ``error``."""
    return next((code for kind, code in _STATUS if isinstance(error, kind)), 422)


def to_body(error: Exception) -> ErrorBody:
    """Return ``error`` as a body; what is no BleenError is a defect of the agent, and trying again may help."""
    if not isinstance(error, BleenError):
        error = Unreachable("the host agent failed", why=repr(error), next="its log is logs/agent.log in the home")
    return ErrorBody(
        error=type(error).__name__,
        what=error.what,
        why=error.why,
        next=error.next,
        where=error.where if isinstance(error, InvalidInput) else "",
        law=error.law if isinstance(error, LawBroken) else 0,
    )


def from_body(body: ErrorBody) -> BleenError:
    """Return the error that ``body`` spells; Unreachable where it names none of ours."""
    kind = next((k for k in kinds() if k.__name__ == body.error), None)
    if kind is None:
        return Unreachable(f"the host agent answered {body.error}", why=body.what, next="bleen doctor")
    if issubclass(kind, LawBroken):
        return kind(body.law, body.why)
    if issubclass(kind, InvalidInput):
        return kind(body.what, why=body.why, next=body.next, where=body.where)
    return kind(body.what, why=body.why, next=body.next)
